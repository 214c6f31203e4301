# SPDX-License-Identifier: Apache-2.0
"""The code of the page "From Python" and the examples run."""

import csv
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.simulation.source import SimulatorSource
from hybrid_pose_ros.skeleton import JOINTS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 0.35 s of a simulated person, as walk.aedat4 and walk.npz."""
    folder = tmp_path_factory.mktemp("walk")
    source, parts = SimulatorSource("walking", 0.35, seed=1), []
    while (batch := source.read()) is not None:
        parts.append(batch)
    events = np.concatenate(parts)
    write_aedat4(folder / "walk.aedat4", parts, source.width, source.height)
    columns = {name: events[name] for name in "xy"}
    np.savez(
        folder / "walk.npz",
        t_us=events["t"] // 1000,
        p=events["polarity"],
        width=source.width,
        height=source.height,
        **columns,
    )
    return folder


def blocks() -> list[str]:
    text = (ROOT / "docs" / "python.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks())))
def test_the_code_of_the_page_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    monkeypatch.chdir(folder)
    found: dict[str, object] = {}
    exec(compile(blocks()[number], f"docs/python.md, block {number}", "exec"), found)
    if number == 0:
        assert re.fullmatch(r"(\d\.\d\d s: \(-?\d+, -?\d+\), \d+%\n){34}", capsys.readouterr().out)
    if number == 1:
        assert np.shape(found["keypoints"]) == (34, 13, 2)


def run(script: str, *arguments: str | Path) -> str:
    command = [sys.executable, EXAMPLES / script, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_poses_of_numpy_events(folder: Path) -> None:
    lines = run("numpy_events.py", folder / "walk.npz").splitlines()
    assert lines[0] == "34 poses; at 0.34 s:"
    assert [line.split()[0] for line in lines[1:]] == list(JOINTS)


def test_poses_of_a_recording_as_a_table(folder: Path) -> None:
    run("recording_to_csv.py", folder / "walk.aedat4", folder / "walk.csv")
    with (folder / "walk.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 34
    assert len(rows[0]) == 1 + 3 * 13
    assert float(rows[-1]["time_s"]) == pytest.approx(0.34)
    assert 0 < float(rows[-1]["head_x"]) < 346


@pytest.mark.slow
def test_training_on_own_people_gives_a_model(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    t_us = np.sort(rng.integers(0, 2_400_000, 40_000))
    for number, part in enumerate(("train", "validation", "test")):
        (tmp_path / part).mkdir()
        np.savez(
            tmp_path / part / f"person{number}.npz",
            t_us=t_us,
            x=rng.integers(0, 346, len(t_us)),
            y=rng.integers(0, 260, len(t_us)),
            p=rng.integers(0, 2, len(t_us)),
            width=346,
            height=260,
            gt_t_us=np.arange(0, 2_400_000, 50_000),
            gt=rng.uniform(50, 200, (13, 2)) + np.zeros((48, 1, 1)),
        )
    model = tmp_path / "mine.safetensors"
    example = runpy.run_path(str(EXAMPLES / "train_on_own_people.py"))
    example["main"](tmp_path, model, updates=1, samples=2, batch=2)
    trained = load_checkpoint(model)
    assert trained.summary["train_recordings"] == 1
    assert trained.digest != load_checkpoint().digest
