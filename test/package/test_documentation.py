# SPDX-License-Identifier: Apache-2.0
"""What the README and the pages in docs say exists, exists."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_pose_ros.cli.main import COMMANDS, make_parser
from hybrid_pose_ros.cli.node_reference import NODES, node_class
from hybrid_pose_ros.cli.reference import reference

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def shell_lines(page: Path) -> Iterator[str]:
    """Yield the commands in a page's shell blocks, continued lines joined, without comments."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield shlex.join(words)


def commands(program: str) -> list[tuple[str, list[str]]]:
    """All calls of a program: (page, words after it); optional [parts] are given."""
    found = []
    for page in PAGES:
        for line in shell_lines(page):
            words = [word.strip("[]") for word in shlex.split(line)]
            if words[: len(program.split())] == program.split():
                found.append((page.name, words[len(program.split()) :]))
    return found


def test_every_command_of_ours_is_understood() -> None:
    parser, wrong = make_parser(COMMANDS), []
    calls = commands("hybrid-pose")
    assert len(calls) > 20
    for page, words in calls:
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                parser.parse_args(words)
        except SystemExit as end:
            if end.code:
                wrong.append(f"{page}: hybrid-pose {' '.join(words)}: {said.getvalue()}")
    assert not wrong, "\n".join(wrong)


def test_every_launch_file_has_the_arguments_that_are_given() -> None:
    calls = commands("ros2 launch hybrid_pose_ros")
    assert calls
    for page, (file, *arguments) in calls:
        declared = launch_arguments(file)
        for argument in arguments:
            name, assigned, _ = argument.partition(":=")
            assert not assigned or name in declared, f"{page}: {file} has no argument {name}"
            assert assigned or argument == "--show-args", f"{page}: {file} {argument}"


def launch_arguments(file: str) -> set[str]:
    """Names of a launch file's arguments, from the description that it is made of."""
    assert (ROOT / "launch" / file).is_file(), f"there is no launch file {file}"
    from hybrid_pose_ros.graph import description as graph

    described = {
        "pose.launch.py": graph.ARGUMENTS,
        "multi_camera.launch.py": graph.MULTI_CAMERA_ARGUMENTS,
        "replay.launch.py": graph.REPLAY_ARGUMENTS,
    }
    return {argument.name for argument in described[file]}


@pytest.mark.parametrize("verb", ["set", "describe", "get"])
def test_every_parameter_that_is_named_exists(verb: str) -> None:
    for page, words in commands(f"ros2 param {verb}"):
        node, *names = words
        if node.isupper():
            continue  # a placeholder
        parameters = {spec.name for spec in node_class(node.rpartition("/")[2]).PARAMETERS}
        assert names[0] in parameters, f"{page}: {node} has no parameter {names[0]}"


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page, words in commands("make"):
        assert words[0] in targets, f"{page}: make {words[0]}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
        for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", text):
            if "://" not in target:
                other = (page.parent / target).read_text() if target else text
                heads = re.findall(r"^#+ (.*)$", other, re.MULTILINE)
                anchors = {re.sub(r"[^\w\- ]", "", h).lower().replace(" ", "-") for h in heads}
                assert anchor in anchors, f"{page.name}: {target}#{anchor}"


def test_code_that_is_named_exists() -> None:
    for page in PAGES:
        for path in re.findall(
            r"`((?:hybrid_pose_ros|test|config|launch|msg)/[\w/.]+)`", page.read_text()
        ):
            is_message = path.startswith("hybrid_pose_ros/msg/")
            file = f"{path.removeprefix('hybrid_pose_ros/')}.msg" if is_message else path
            assert (ROOT / file).exists(), f"{page.name}: {path}"


def test_the_reference_is_that_of_the_nodes_and_commands() -> None:
    page = ROOT / "docs" / "reference.md"
    assert page.read_text() == reference(), (
        "run `hybrid-pose reference --out docs/reference.md` in the sources"
    )


@pytest.mark.parametrize("executable", NODES)
def test_every_node_is_installed_and_says_what_it_publishes(executable: str) -> None:
    assert re.search(
        rf"^\s*foreach\(node .*\b{executable}\b", (ROOT / "CMakeLists.txt").read_text(), re.M
    )
    assert "Publishes: " in (node_class(executable).__doc__ or "")
