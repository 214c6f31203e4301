# SPDX-License-Identifier: Apache-2.0
"""`make` says what is wrong with the machine, and what to do; programs run from any path."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """The files that `make` reads, in a folder with a space in its name."""
    folder = tmp_path / "my sources"
    folder.mkdir()
    for pattern in ("Makefile", "*.txt", "setup.py", "package.xml", "pyproject.toml"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, folder)
    for name in ("hybrid_pose_ros", "msg", "cmake", "config", "launch"):
        (folder / name).mkdir()
    return folder


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    command = ["make", *words, f"PYTHON={sys.executable}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_an_index_that_cannot_be_reached_ends_in_a_sentence_with_the_remedy(sources: Path) -> None:
    (sources / ".venv" / "bin").mkdir(parents=True)
    (sources / ".venv" / ".made").touch()
    python = sources / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    result = make(sources, ".venv/.requirements", "TORCH_INDEX=https://nowhere.invalid")
    assert result.returncode != 0
    errors = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "could not be had from https://nowhere.invalid" in errors[0]
    assert "make TORCH_INDEX=https://..." in errors[0]


@pytest.mark.parametrize(("build", "suffix"), [("cpu", "+cpu"), ("cu130", "+cu130"), ("", "")])
def test_the_build_of_torch_can_be_chosen(sources: Path, build: str, suffix: str) -> None:
    listed = make(sources, "-n", ".venv/.requirements", f"TORCH_BUILD={build}").stdout
    version = (ROOT / "requirements.txt").read_text().partition("\ntorch==")[2].split()[0]
    assert f'"torch=={version}{suffix}"' in listed


def test_a_program_runs_from_a_path_with_a_space(tmp_path: Path) -> None:
    python = tmp_path / "an environment" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    text = (ROOT / "cmake" / "program.py.in").read_text()
    values = {
        "Python3_EXECUTABLE": str(python),
        "module": "json",
        "function": "dumps",
        "argument": "'said: ' + __import__('sys').argv[1]",
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    program = python.parent / "program"
    program.write_text(text)
    program.chmod(0o755)
    result = subprocess.run([program, "two words"], capture_output=True, text=True, check=False)
    assert result.stderr == '"said: two words"\n'  # SystemExit with a text prints it
