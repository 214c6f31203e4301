# SPDX-License-Identifier: Apache-2.0
"""The source tree is in order: manifest, style, types, and who imports whom."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from catkin_pkg.package import parse_package

from hybrid_pose_ros.graph.tools import rviz_tools

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hybrid_pose_ros"

LAYERS = (
    (
        *(
            "arrays",
            "errors",
            "installation",
            "skeleton",
            "version",
            "regular_files",
            "stop_signals",
        ),
        "plain_yaml",
    ),
    ("geometry",),
    ("events",),
    ("drawing", "networks", "simulation", "weights"),
    ("engine",),
    ("pipeline",),
    ("metrics",),
    ("interfaces",),
    ("bags",),
    ("graph",),
    ("nodes",),
    ("view",),
    ("demo",),
    ("research",),
    ("cli",),
)
"""From the bottom up. A module imports from its own layer and those below it."""

HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}


def test_manifest_is_valid_and_says_what_setup_needs():
    package = parse_package(str(ROOT / "package.xml"), warnings=(warnings := []))
    assert not warnings
    assert package.name == PACKAGE.name
    assert [build.content for build in package.exports if build.tagname == "build_type"] == [
        "ament_cmake"
    ]
    assert "rosidl_interface_packages" in [group.name for group in package.member_of_groups]
    assert package.licenses == ["Apache-2.0"]


def test_manifest_names_every_ros_package_that_is_imported():
    manifest = parse_package(str(ROOT / "package.xml"))
    declared = {dependency.name for dependency in manifest.exec_depends}
    ros = {name for name in declared if not name.startswith("python3-")}
    imported = {name.partition(".")[0] for path in _modules() for name in _imports(path)}
    messages = {name for name in imported if name.endswith(("_msgs", "_interfaces"))}
    # The nodes take its messages where it is installed, and do without it elsewhere.
    assert messages - {"event_camera_msgs"} <= ros
    assert "rclpy" in ros


def test_manifest_names_what_the_launch_files_start():
    manifest = parse_package(str(ROOT / "package.xml"))
    declared = {dependency.name for dependency in manifest.exec_depends}
    tools = {tool.package for tool in rviz_tools({}, ROOT)}
    assert tools == {"rviz2", "tf2_ros"}
    assert tools | {"ros2bag", "rosbag2_storage_mcap", "rosbag2_transport"} <= declared
    assert {"launch", "launch_ros", "ros2launch"} <= declared


def test_names_of_test_files_are_unique():
    """Tools that import a test file by its base name take the second one for the first."""
    names = [path.name for path in (ROOT / "test").rglob("*.py") if path.name != "conftest.py"]
    assert sorted(set(names)) == sorted(names)
    assert not {Path(name).stem for name in names} & sys.stdlib_module_names


@pytest.mark.parametrize(
    "command",
    [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)],
    ids=["lint", "format", "types"],
)
def test_tool_has_no_complaint(command: tuple[str, ...]):
    pytest.importorskip(command[0])
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_imports_point_downwards():
    upward = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in _modules()
        if path != PACKAGE / "__init__.py"  # the front door: it imports nothing until asked
        for name in _imports(path)
        if name.startswith("hybrid_pose_ros.")
        and name.split(".")[1] not in ("msg", "PACKAGE", "__version__")  # beside the layers
        and HEIGHT[name.split(".")[1]] > HEIGHT.get(_part(path), -1)
    ]
    assert not upward


@pytest.mark.parametrize(
    ("library", "parts"),
    [
        ("rclpy", {"interfaces", "nodes"}),
        ("launch", {"graph"}),
        (
            "torch",
            {
                "networks",
                "engine",
                "pipeline",
                "nodes",
                "research",
                "cli",
            },
        ),
        ("dv_processing", {"events"}),
    ],
)
def test_library_is_imported_in_its_place_only(library: str, parts: set[str]):
    assert {
        _part(path)
        for path in _modules()
        for name in _imports(path)
        if name.partition(".")[0] == library
    } <= parts


def test_importing_the_package_is_light():
    code = (
        "import sys, hybrid_pose_ros\n"
        "heavy = {'torch', 'numba', 'cv2', 'dv_processing', 'scipy', 'rclpy', 'numpy'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_python_files_name_their_licence():
    files = [ROOT / "setup.py"]
    for folder in ("hybrid_pose_ros", "launch", "test"):
        files += (ROOT / folder).rglob("*.py")
    for path in files:
        assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n"), path


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _part(path: Path) -> str:
    """Return the name below the package: of a folder or a module."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a module imports at any place."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            assert node.module is not None
            if node.module == "hybrid_pose_ros":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module
