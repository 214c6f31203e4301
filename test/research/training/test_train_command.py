# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research train` from nothing to a checkpoint that loads."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.installation import find_prefix
from hybrid_pose_ros.networks.checkpoint import load_checkpoint, save_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.run_folder import begin_network
from hybrid_pose_ros.research.training.shards import activity_keys
from hybrid_pose_ros.research.training.stages import Stage

from ...conftest import Refusal

SHORT = ("--updates", "2", "--batch", "2", "--report-every", "2", "--samples", "2")


def render(folder: Path) -> None:
    """Make the smallest data there is, by the installed program and its worker processes."""
    program = find_prefix() / "bin" / "hybrid-pose"
    arguments = (
        "research",
        "train",
        "render",
        "--data",
        folder,
        "--minutes",
        "0.1",
        "--workers",
        "1",
    )
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def make_noise(folder: Path) -> None:
    for seed, split in enumerate(("train", "validation", "test")):
        write_recording(folder / split / "00000", seed)


@pytest.mark.parametrize("make", [make_noise, pytest.param(render, marks=pytest.mark.slow)])
def test_from_recordings_to_a_checkpoint(
    make: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    make(data)
    run, checkpoint = tmp_path / "run", tmp_path / "edge.safetensors"
    places = ("--data", str(data), "--out", str(run))
    assert main(["research", "train", "ann", *places, *SHORT]) == 0
    assert main(["research", "train", "hybrid", *places, *SHORT, "--window", "3"]) == 0
    capsys.readouterr()
    export = ("--checkpoint", str(checkpoint), "--samples", "2")
    assert main(["research", "train", "export", *places, *export]) == 0
    printed = json.loads(capsys.readouterr().out)
    loaded = load_checkpoint(checkpoint)
    assert loaded.digest == printed["digest"]
    assert loaded.summary["updates"] == 2
    assert set(loaded.summary["test_px"]) >= {"hybrid_px", "snn_from_rest_px", "mean_pose_px"}

    # a checkpoint stands in for the ANN's stage
    tuned = ("--data", str(data), "--out", str(tmp_path / "tuned"), "--from", str(checkpoint))
    assert main(["research", "train", "hybrid", *tuned, *SHORT, "--window", "3"]) == 0


def write_recording(folder: Path, seed: int) -> None:
    """A recording of noise, as long as training needs."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    counts = rng.integers(0, 2, (150, 2, 65, 87), np.uint8)
    np.save(folder / "counts.npy", counts)
    np.save(folder / "last.npy", activity_keys(counts, EDGE.ann.activity_levels))
    labels = rng.uniform(20, 40, (150, 13, 3)).astype(np.float32)
    labels[..., 2] = 1
    np.save(folder / "labels.npy", labels)
    (folder / "meta.json").write_text(
        json.dumps({"step_ns": EDGE.step_ns, "noise_filter": EDGE.to_dict()["noise_filter"]})
    )


def save_state(path: Path, seed: int) -> None:
    """What a stage leaves, as far as the next ones read it."""
    torch.manual_seed(seed)
    path.parent.mkdir(exist_ok=True)
    torch.save({"network": HybridPoseNetwork(EDGE).state_dict()}, path)


def save_model(path: Path, seed: int) -> Path:
    """A checkpoint of an untrained network of this version's configuration."""
    torch.manual_seed(seed)
    save_checkpoint(path, HybridPoseNetwork(EDGE), {})
    return path


def test_a_hybrid_goes_on_with_what_it_began_with_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    for split in ("train", "validation"):
        write_recording(data / split / "00000", seed=0)
    save_state(run / "ann.pt", seed=1)
    brief = ("--updates", "1", "--batch", "1", "--samples", "1", "--window", "1")
    command = ["research", "train", "hybrid", "--data", str(data), "--out", str(run), *brief]
    assert main(command) == 0
    assert main([*command, "--report-every", "7"]) == 0
    before = (run / "hybrid.pt").read_bytes()

    def refused(*more: str) -> str:
        capsys.readouterr()
        assert main([*command, *more]) == 1
        assert (run / "hybrid.pt").read_bytes() == before
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error.partition("another plan ")[2]

    rest = "; remove it to start anew\n"
    assert refused("--strip", "40") == f"(other strip){rest}"
    other = ("--from", str(save_model(tmp_path / "other.safetensors", seed=3)))
    assert refused(*other) == f"(other snn weights){rest}"  # the ANN is still the run's
    save_state(run / "ann.pt", seed=2)
    assert refused() == f"(other ann weights){rest}"
    save_state(run / "ann.pt", seed=1)
    write_recording(data / "train" / "00001", seed=1)
    assert refused() == f"(other recordings){rest}"


def test_a_hybrid_begins_with_the_runs_ann_and_the_checkpoints_snn(tmp_path: Path) -> None:
    save_state(tmp_path / "ann.pt", seed=1)
    save_state(tmp_path / "snn.pt", seed=2)

    def trained(name: str) -> dict[str, torch.Tensor]:
        return dict(torch.load(tmp_path / f"{name}.pt", weights_only=True)["network"])

    ann, alone = trained("ann"), trained("snn")
    model = save_model(tmp_path / "model.safetensors", seed=3)
    given = load_checkpoint(model).network.state_dict()
    for start, snn in ((None, alone), (model, given)):
        begun = begin_network(tmp_path, Stage.HYBRID, start, None).state_dict()
        for name, value in begun.items():
            if name.startswith(("ann.", "motion.")):
                assert torch.equal(value, ann[name]), name
            elif name.startswith("snn."):
                assert torch.equal(value, snn[name]), name


@pytest.mark.parametrize(
    ("seeds", "says"),
    [
        ({"ann": 1, "hybrid": 2}, "hybrid.pt: trained on another ANN than that of run/ann.pt"),
        ({"hybrid": 1, "hybrid_no_init": 2}, "hybrid_no_init.pt: trained on another ANN"),
        ({"ann": 1, "snn": 2, "hybrid": 1, "hybrid_no_init": 1}, "no training data"),
    ],
)
def test_what_was_trained_on_another_ann_is_not_exported(
    seeds: dict[str, int],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    monkeypatch.chdir(tmp_path)
    # of a GPU that is not there
    monkeypatch.setattr("torch.serialization.location_tag", lambda _storage: "cuda:0")
    for name, seed in seeds.items():
        save_state(Path("run", f"{name}.pt"), seed)
    places = ("--data", "data", "--out", "run")
    assert says in refusal(
        "research", "train", "export", *places, "--checkpoint", "edge.safetensors"
    )
    assert not Path("edge.safetensors").exists()
    if "ann" in seeds:
        assert "no training data" in refusal("research", "train", "hybrid", *places)


@pytest.mark.parametrize("name", ["absent.npz", "notes.npz"])
def test_motion_capture_that_cannot_be_read_is_named_at_once(
    name: str, tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "notes.npz").write_text("not motion capture")
    data, mocap = tmp_path / "data", str(tmp_path / name)
    assert name in refusal("research", "train", "render", "--data", data, "--mocap", mocap)
    assert not data.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("render", "--workers", "0"), "--workers must be at least 1, not 0"),
        (("render", "--minutes", "0"), "--minutes must be more than 0, not 0"),
        (("ann", "--out", "run"), "no training data"),
        (("ann", "--out", "run", "--window", "0"), "--window must be at least 1, not 0"),
        (("hybrid", "--out", "run"), "train the ANN first"),
        (("ann", "--out", "run", "--from", "absent.safetensors"), "no such checkpoint"),
        (("export", "--out", "run", "--checkpoint", "x.safetensors"), "train the stages first"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refusal("research", "train", *arguments, "--data", "data")
