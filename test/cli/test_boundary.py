# SPDX-License-Identifier: Apache-2.0
"""Whatever fails, the shell gets one sentence and the right exit code."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.cli import CommandError
from hybrid_pose_ros.cli.boundary import (
    TRACEBACK,
    UnfitEnvironmentError,
    bounded,
    check_ros_environment,
)
from hybrid_pose_ros.cli.main import main

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
COMMAND = [sys.executable, "-P", "-m", "hybrid_pose_ros.cli.main"]


def raising(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (CommandError("a: is no b; give a b"), 1, "a: is no b; give a b"),
        (OSError(28, "No space left on device", "x.txt"), 1, "x.txt: No space left on device"),
        (MemoryError(), 1, "out of memory"),
        (ImportError("no _rclpy_pybind11\n\n"), 1, "a ROS of another Python"),
        (RuntimeError("cannot cache 'f': no locator available for file"), 1, "NUMBA_CACHE_DIR"),
        (TypeError("two\nlines"), 70, "a fault of this program (TypeError: two lines)"),
        (AssertionError(), 70, "AssertionError"),
    ],
)
def test_what_is_raised_is_one_line(
    error: Exception,
    code: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TRACEBACK, raising=False)
    assert bounded("hybrid-pose x", raising(error)) == code
    said = capsys.readouterr().err
    assert said.startswith("hybrid-pose x: error: ") and said.count("\n") == 1
    assert words in said


def test_faults_are_let_through_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    with pytest.raises(TypeError):
        bounded("hybrid-pose x", raising(TypeError("a")))


def test_codes_are_passed_on() -> None:
    assert bounded("x", lambda: 0) == 0
    assert bounded("x", lambda: 7) == 7
    assert bounded("x", raising(KeyboardInterrupt())) == 130
    with pytest.raises(SystemExit):
        bounded("x", raising(SystemExit(2)))


@pytest.mark.parametrize("domain", ["abc", "-1", "233", "1.0", "٣", "1000"])
def test_a_domain_that_is_none_is_named(domain: str) -> None:
    with pytest.raises(UnfitEnvironmentError, match=f"ROS_DOMAIN_ID={domain}: not a number"):
        check_ros_environment({"ROS_DOMAIN_ID": domain})


@pytest.mark.parametrize("domain", ["", "0", "42", "232"])
def test_domains_are_taken(domain: str) -> None:
    check_ros_environment({"ROS_DOMAIN_ID": domain})


def test_a_ros_of_another_python_is_named(tmp_path: Path) -> None:
    paths = {
        version: tmp_path / f"ros/lib/python{version}/site-packages" for version in ("2.9", OWN)
    }
    for path in paths.values():
        path.mkdir(parents=True)
    check_ros_environment({"PYTHONPATH": f"/nowhere/lib/python2.9/site-packages:{paths[OWN]}"})
    with pytest.raises(UnfitEnvironmentError, match=f"packages of Python 2.9, this is.*{OWN}"):
        check_ros_environment({"PYTHONPATH": f"{paths[OWN]}:{paths['2.9']}"})


@pytest.mark.parametrize("command", [["run"], ["torture"], ["view"], ["replay", "bag"], ["demo"]])
def test_commands_that_start_nodes_look_at_the_environment(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "abc")
    assert main(command) == 1
    assert "ROS_DOMAIN_ID=abc" in capsys.readouterr().err


def run(words: list[str], **environment: str) -> "subprocess.CompletedProcess[bytes]":
    own = os.environ | environment
    return subprocess.run([*COMMAND, *words], env=own, capture_output=True, check=False)


def test_output_that_knows_ascii_only_is_no_obstacle(tmp_path: Path) -> None:
    missing = str(tmp_path / "Schrägstrich.aedat4")
    words = ["convert", "aedat4", missing, "--out", "o"]
    result = run(words, PYTHONIOENCODING="ascii", LANG="C", PYTHONUTF8="0")
    assert result.returncode == 1
    assert result.stderr.isascii() and result.stderr.count(b"\n") == 1
    assert b"Schr?gstrich.aedat4: no such file" in result.stderr


@pytest.mark.parametrize(
    ("words", "codes"),
    [(["--version"], {141}), (["convert", "--help"], {0, 141})],  # argparse ends help in peace
)
def test_a_reader_that_has_gone_is_no_fault(words: list[str], codes: set[int]) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([*COMMAND, *words], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert result.returncode in codes
    assert result.stderr == b""


def test_closed_output_is_no_obstacle() -> None:
    command = f"'{sys.executable}' -P -m hybrid_pose_ros.cli.main --version >&-"
    result = subprocess.run(command, shell=True, stderr=subprocess.PIPE, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_without_a_place_for_compiled_code_the_variable_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"x")
    code = (
        "import sys\n"
        "from numba.core import caching\n"
        "caching._CacheLocator.ensure_cache_path = lambda self: (_ for _ in ()).throw(OSError())\n"
        "from hybrid_pose_ros.cli.main import main\n"
        f"sys.exit(main(['convert', 'raw', {str(path)!r}, '--out', 'o']))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "NUMBA_CACHE_DIR" in result.stderr and result.stderr.count("\n") == 1


def test_a_middleware_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnfitEnvironmentError, match=r"RMW_IMPLEMENTATION=rmw_x: .*unset it"):
        check_ros_environment({"RMW_IMPLEMENTATION": "rmw_x"})
    check_ros_environment({"RMW_IMPLEMENTATION": "rmw_fastrtps_cpp"})
    check_ros_environment({"RMW_IMPLEMENTATION": "rmw_x", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"})


def test_a_working_directory_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert bounded("hybrid-pose x", lambda: len(os.getcwd())) == 1
    assert "the working directory is gone" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)


def test_what_to_do_about_a_full_output_is_said(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", t_us=[0], x=[0], y=[0], p=[0], width=1, height=1)
    arguments = ["convert", "npz", str(tmp_path / "a.npz"), "--out", str(tmp_path / "bag")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert "error: No space left on device; make room" in done.stderr
    assert "Traceback" not in done.stderr
