# SPDX-License-Identifier: Apache-2.0
"""What the README and the pages in docs say exists, exists."""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest
import yaml

from hybrid_pose_ros.cli.main import COMMANDS, RESEARCH, make_parser
from hybrid_pose_ros.cli.reference import reference
from hybrid_pose_ros.graph.specs import CONTAINER
from hybrid_pose_ros.msg import Keypoint, PoseKeypoints
from hybrid_pose_ros.nodes.support.node_classes import NODES, node_class

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def inline_code(page: Path) -> list[str]:
    """What stands between backticks in a page's prose."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", prose)]


def shell_lines(page: Path) -> Iterator[str]:
    """Yield the commands in a page's shell blocks, continued lines joined, without comments."""
    for block in blocks(page, "sh"):
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
    parser, wrong = make_parser({*COMMANDS, *RESEARCH}), []
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


def command_options() -> dict[str, set[str]]:
    """The options of each command by its full name, as the reference has them, and of none."""
    parts = re.split(r"^### `hybrid-pose (.*)`$", reference(), flags=re.MULTILINE)
    options = {
        name: set(re.findall(r"--[a-z][\w-]*", text))
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }
    groups = {" ".join(name.split()[:count]) for name in options for count in (1, 2)}
    return {group: {"--help"} for group in groups} | options | {"": {"--help", "--version"}}


def test_every_option_and_command_in_the_prose_exists() -> None:
    known = command_options()
    everywhere = set().union(*known.values())
    for page in PAGES:
        for text in inline_code(page):
            words = text.split()
            options = set(re.findall(r"(?<!\S)--[a-z][\w-]*", text))
            if text.startswith("--"):
                assert options <= everywhere, f"{page.name}: {text}"
            elif words and words[0] in ("hybrid-pose", *COMMANDS, *RESEARCH):
                named = words[words[0] == "hybrid-pose" :]
                if words[0] in RESEARCH:  # in prose that has said whose it is
                    named = ["research", *words]
                place = next(
                    name
                    for name in (" ".join(named[:count]) for count in (3, 2, 1, 0))
                    if name in known
                )
                is_placeholder = not named or named[0].startswith(("-", "..."))
                assert place or is_placeholder, f"{page.name}: {text}"
                assert options <= known[place], f"{page.name}: {text}"


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
    from hybrid_pose_ros.graph import arguments as graph

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


def test_every_parameter_of_a_file_exists() -> None:
    parameters = {node: {spec.name for spec in node_class(node).PARAMETERS} for node in NODES}
    for page in PAGES:
        for block in blocks(page, "yaml"):
            for place, entry in yaml.safe_load(block).items():
                if not isinstance(entry, dict) or "ros__parameters" not in entry:
                    continue
                node = place.removeprefix("/**").strip("/")
                known = parameters[node] if node else set().union(*parameters.values())
                given = entry["ros__parameters"].keys() - {"qos_overrides"}  # ROS 2's own
                assert given <= known, f"{page.name}: {place}"


def test_every_node_that_is_run_exists_with_its_parameters() -> None:
    calls = commands("ros2 run hybrid_pose_ros")
    assert calls
    in_containers = [
        (page, [*group])
        for page, words in calls
        if words[0] == CONTAINER
        for is_end, group in groupby(words[1:], "--".__eq__)
        if not is_end
    ]
    assert in_containers
    alone = [call for call in calls if call[1][0] != CONTAINER]
    for page, (node, *words) in alone + in_containers:
        assert node in NODES, f"{page}: there is no node {node}"
        given = {word.partition(":=")[0] for flag, word in pairwise(words) if flag == "-p"}
        parameters = {spec.name for spec in node_class(node).PARAMETERS}
        assert given <= parameters, f"{page}: {node} has no parameter {given - parameters}"


def test_every_service_that_is_called_exists() -> None:
    calls = commands("ros2 service call")
    assert calls
    for page, (service, kind, *_) in calls:
        node, _, name = service.strip("/").rpartition("/")
        text = " ".join((node_class(node.rpartition("/")[2]).__doc__ or "").split())
        services = text.partition("Services: ")[2]
        assert f"~/{name}" in services, f"{page}: {service}"
        assert kind.rpartition("/")[2] in services, f"{page}: {service} {kind}"


def test_the_message_in_the_readme_is_a_pose() -> None:
    (message,) = [yaml.safe_load(block) for block in blocks(ROOT / "README.md", "yaml")]
    assert message.keys() == PoseKeypoints.get_fields_and_field_types().keys()
    for keypoint in message["keypoints"]:
        assert keypoint.keys() == Keypoint.get_fields_and_field_types().keys()


def test_python_of_the_pages_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but those with tests of their own: "From Python", with the README's block, and tonic."""
    from_python = ROOT / "docs" / "python.md"
    assert blocks(ROOT / "README.md", "python") == blocks(from_python, "python")[:1]
    monkeypatch.chdir(tmp_path)
    for page in PAGES:
        if page not in (from_python, ROOT / "README.md"):
            for block in blocks(page, "python"):
                if "import tonic" in block:
                    continue
                exec(compile(block, page.name, "exec"), {})


def test_python_scripts_exist() -> None:
    for page, words in commands("python"):
        assert (ROOT / words[0]).is_file(), f"{page}: {words[0]}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = re.findall(r"\]\(([^)#\s]+)", index.read_text())
    missing = {page.name for page in index.parent.glob("*.md")} - {index.name, *linked}
    assert not missing


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
            r"`((?:hybrid_pose_ros|test|config|launch|msg|docs|examples)/[\w/.]+)`",
            page.read_text(),
        ):
            is_message = path.startswith("hybrid_pose_ros/msg/")
            file = f"{path.removeprefix('hybrid_pose_ros/')}.msg" if is_message else path
            assert (ROOT / file).exists(), f"{page.name}: {path}"


def test_the_reference_is_that_of_the_nodes_and_commands() -> None:
    page = ROOT / "docs" / "reference.md"
    assert page.read_text() == reference(), (
        "run `hybrid-pose research reference --out docs/reference.md` in the sources"
    )


@pytest.mark.parametrize("executable", NODES)
def test_every_node_is_installed_and_says_what_it_publishes(executable: str) -> None:
    assert re.search(
        rf"^\s*foreach\(node .*\b{executable}\b", (ROOT / "CMakeLists.txt").read_text(), re.M
    )
    assert "Publishes: " in (node_class(executable).__doc__ or "")
