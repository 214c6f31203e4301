# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose train` from nothing to a checkpoint that loads."""

import json
import subprocess
from pathlib import Path

import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.nodes.graph import find_prefix

SHORT = ("--updates", "2", "--batch", "2", "--report-every", "2", "--samples", "2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest data there is, made by the installed program and its worker processes."""
    folder = tmp_path_factory.mktemp("training") / "data"
    program = find_prefix() / "bin" / "hybrid-pose"
    arguments = ("train", "render", "--data", folder, "--minutes", "0.1", "--workers", "1")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_from_recordings_to_a_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, checkpoint = tmp_path / "run", tmp_path / "edge.safetensors"
    places = ("--data", str(data), "--out", str(run))
    assert main(["train", "ann", *places, *SHORT]) == 0
    assert main(["train", "hybrid", *places, *SHORT, "--window", "3"]) == 0
    capsys.readouterr()
    export = ("--checkpoint", str(checkpoint), "--samples", "2")
    assert main(["train", "export", *places, *export]) == 0
    printed = json.loads(capsys.readouterr().out)
    loaded = load_checkpoint(checkpoint)
    assert loaded.digest == printed["digest"]
    assert loaded.summary["updates"] == 2
    assert set(loaded.summary["test_px"]) >= {"hybrid_px", "snn_from_rest_px", "mean_pose_px"}

    # a checkpoint stands in for the ANN's stage
    tuned = ("--data", str(data), "--out", str(tmp_path / "tuned"), "--from", str(checkpoint))
    assert main(["train", "hybrid", *tuned, *SHORT, "--window", "3"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ann", "--out", "run"), "no training data"),
        (("hybrid", "--out", "run"), "train the ANN first"),
        (("ann", "--out", "run", "--from", "absent.safetensors"), "no such checkpoint"),
        (("export", "--out", "run", "--checkpoint", "x.safetensors"), "train the stages first"),
    ],
)
def test_what_is_missing_is_named(
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments, "--data", "data"]) == 1
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
