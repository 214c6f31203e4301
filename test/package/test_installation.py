# SPDX-License-Identifier: Apache-2.0
"""The installed package holds all that the source tree promises."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix, get_packages_with_prefixes
from catkin_pkg.package import parse_package

import hybrid_pose_ros
import hybrid_pose_ros.msg
from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.graph.arguments import ARGUMENTS
from hybrid_pose_ros.installation import find_prefix, share_directory

ROOT = Path(__file__).parents[2]
SHARE = share_directory(find_prefix())
COMPILED = {".nbc", ".nbi", ".pyc"}
"""Suffixes of what Python and Numba make beside the modules that they have compiled."""

MESSAGES = sorted(path.stem for path in (ROOT / "msg").glob("*.msg"))


def test_tests_see_the_installed_package():
    assert ROOT / PACKAGE not in Path(hybrid_pose_ros.__file__).parents


def test_installed_modules_are_those_of_the_source_tree():
    installed = Path(hybrid_pose_ros.__file__).parent
    modules = {
        path.relative_to(ROOT / PACKAGE): path.read_bytes()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__" and path.suffix not in COMPILED
    }
    stale = [path for path, content in modules.items() if _content(installed / path) != content]
    assert not stale, "install the package again"


@pytest.mark.parametrize("folder", ["config", "launch", "msg"])
def test_share_holds_what_the_source_tree_holds(folder: str):
    files = [path for path in (ROOT / folder).iterdir() if path.is_file()]
    assert files
    for path in files:
        assert _content(SHARE / folder / path.name) == path.read_bytes()


def test_every_message_can_be_imported_and_has_the_fields_of_its_file():
    assert MESSAGES
    for name in MESSAGES:
        message = getattr(hybrid_pose_ros.msg, name)
        assert message.get_fields_and_field_types().keys() == dict(_fields(name)).keys()


def test_event_packet_is_field_for_field_that_of_event_camera_msgs():
    assert _fields("EventPacket") == [
        ("header", "std_msgs/Header"),
        ("height", "uint32"),
        ("width", "uint32"),
        ("seq", "uint64"),
        ("time_base", "uint64"),
        ("encoding", "string"),
        ("is_bigendian", "bool"),
        ("events", "uint8[]"),
    ]


def test_ament_index_knows_the_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(find_prefix()))
    assert PACKAGE in get_packages_with_prefixes()
    assert Path(get_package_prefix(PACKAGE)) == find_prefix()
    assert parse_package(str(SHARE / "package.xml")).name == PACKAGE


@pytest.mark.parametrize("node", ["event_driver", "ann", "snn", "visualizer", "skeleton_adapter"])
def test_every_node_is_an_executable_for_ros2_run(node: str):
    program = find_prefix() / "lib" / PACKAGE / node
    assert os.access(program, os.X_OK)
    assert f'start_node("{node}")' in program.read_text()


def test_command_runs_without_any_variable_of_ros():
    """As in a new shell: ROS from wheels finds its way by itself, ROS from elsewhere does not."""
    if find_prefix() != Path(sys.prefix):
        pytest.skip("the package is not installed in a virtual environment")
    program = find_prefix() / "bin" / "hybrid-pose"
    environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    result = subprocess.run(
        [program, "run", "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    options = {"container": "one-process"}  # by another name in launch files
    for argument in ARGUMENTS:
        assert f"--{options.get(argument.name, argument.name)}" in result.stdout


def test_distribution_has_the_metadata_of_package_xml():
    installed = importlib.metadata.distributions(name=PACKAGE)
    by_pip = [each for each in installed if each.read_text("INSTALLER")]  # colcon's have none
    if not by_pip:
        pytest.skip("the package was not installed by pip")
    metadata = by_pip[0].metadata
    package = parse_package(str(ROOT / "package.xml"))
    assert metadata["Version"] == package.version
    assert metadata["Summary"] == package.description
    assert metadata["Maintainer"] == package.maintainers[0].name
    assert metadata["Maintainer-email"] == package.maintainers[0].email
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text()


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _fields(message: str) -> list[tuple[str, str]]:
    """Return the names and types of a message file, in order, without constants."""
    lines = (ROOT / "msg" / f"{message}.msg").read_text().splitlines()
    words = [line.partition("#")[0].split() for line in lines]
    return [(line[1], line[0]) for line in words if line and "=" not in line[1]]
