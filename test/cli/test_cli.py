# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose` and its subcommand run."""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.cli import main as cli
from hybrid_pose_ros.cli import run as cli_run
from hybrid_pose_ros.graph.arguments import ARGUMENTS
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.graph.specs import NodeSpec

from ..conftest import Refusal


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom hybrid_pose_ros.cli.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'rclpy', 'numba', 'cv2') if m in sys.modules])"
    )
    for arguments in (["--help"], ["run", "--help"]):
        output = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert output.splitlines()[-1] == "[]"
        assert "run" in output


def test_run_takes_the_arguments_of_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(cli_run, "run", lambda options: seen.append(options) or 7)
    assert cli.main(["run", "--source", "recording", "--recording", "x", "--rviz"]) == 7
    values = {argument.name: getattr(seen[0], argument.name) for argument in ARGUMENTS}
    assert values == dict.fromkeys(values) | {
        "source": "recording",
        "recording": "x",
        "rviz": "true",
    }


def test_a_command_that_fails_says_why_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: argparse.Namespace) -> int:
        raise CommandError("the file is gone; bring it back")

    monkeypatch.setattr(cli_run, "run", fail)
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == "hybrid-pose run: error: the file is gone; bring it back\n"


def test_run_names_a_missing_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--source", "recording", "--recording", "/no/such.aedat4"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "/no/such.aedat4" in line or "is not installed" in line


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["dance"])
    assert "dance" in capsys.readouterr().err


def test_commands_of_users_come_first_and_research_has_its_own_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [line.split() for line in cli.make_parser(()).format_help().splitlines()]
    listed = [words[0] for words in lines if words and words[0] in {*cli.COMMANDS, "research"}]
    assert listed == [*cli.COMMANDS, "research"]
    assert listed[:5] == ["run", "demo", "convert", "replay", "view"]
    with pytest.raises(SystemExit, match="0"):
        cli.main(["research", "--help"])
    out = capsys.readouterr().out
    assert all(summary.split()[0] in out and name in out for name, summary in cli.RESEARCH.items())


def test_a_research_command_is_understood_without_its_group_and_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words, sentences in ((["report"], 2), (["research", "report"], 1)):
        missing = ["--json", str(tmp_path / "lost.json"), "--out", str(tmp_path / "page.md")]
        assert cli.main([*words, *missing]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == sentences
        assert lines[-1].startswith("hybrid-pose research report: error: ")
        assert sentences == 1 or "`hybrid-pose research report`" in lines[0]


def graph(tmp_path: Path, **programs: str) -> Supervisor:
    library = tmp_path / "lib" / "hybrid_pose_ros"
    library.mkdir(parents=True)
    for name, body in programs.items():
        (library / name).write_text(f"import signal, sys, time\n{body}")
    return Supervisor(
        [NodeSpec(name, name, "", (), {}, name == "required") for name in programs], tmp_path
    )


def test_run_ends_with_a_required_node(tmp_path: Path) -> None:
    with graph(tmp_path, required="time.sleep(0.3)", other="time.sleep(60)") as nodes:
        assert cli_run.watch(nodes) == 0
    assert nodes.poll()["required"] == 0


def test_a_failure_is_reported_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = tmp_path / "told"
    fail = f"import os; open({str(told)!r}, 'w').close(); os._exit(4)"
    wait = f"import os\nwhile not os.path.exists({str(told)!r}): time.sleep(0.01)\ntime.sleep(0.5)"
    with graph(tmp_path, other=fail, required=wait) as nodes:
        assert cli_run.watch(nodes) == 4
    assert capsys.readouterr().err == "hybrid-pose run: other ended with code 4\n"
    assert nodes.poll()["required"] == 0


def test_a_crash_of_a_required_node_is_a_failure(tmp_path: Path) -> None:
    crash = "import os; os.kill(os.getpid(), signal.SIGKILL)"
    with graph(tmp_path, required=crash) as nodes:
        assert cli_run.watch(nodes) == 128 + 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cameras", "a,b", "--host", "x"], "--host does not go with --cameras"),
        (["--calibration", "x"], "--calibration is for several cameras"),
        (["--cameras", "a"], "two namespaces or more"),
        (["--source", "none"], "source must be one of camera"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], message: str, refusal: Refusal) -> None:
    assert message in refusal("run", *words)


def test_ctrl_c_ends_run(tmp_path: Path) -> None:
    def interrupt() -> None:
        time.sleep(0.5)
        import _thread

        _thread.interrupt_main()

    with graph(tmp_path, required="time.sleep(60)") as nodes:
        threading.Thread(target=interrupt).start()
        assert cli_run.watch(nodes) == 0
    assert "required" in nodes.poll()
