# SPDX-License-Identifier: Apache-2.0
"""Recordings of one's own: imported, drawn at their share, trained on and tested."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.dhp19.labels import load_labels, save_labels
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.geometry.cameras import load_dhp19_cameras
from hybrid_pose_ros.networks.checkpoint import save_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.importing import (
    LabelledRecording,
    find_dhp19,
    import_recording,
)
from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, BatchSource
from hybrid_pose_ros.research.training.shards import Shard, ShardError, open_shards
from hybrid_pose_ros.research.training.stages import Stage, stage_loss
from hybrid_pose_ros.simulation.dhp19 import (
    CHANNEL_CAMERAS,
    LEAD_S,
    four_scenes,
    write_calibration,
    write_dhp19,
)
from hybrid_pose_ros.simulation.movements import make_motion

from ...conftest import Refusal

SECONDS = 1.3


@pytest.fixture(scope="module")
def dhp19(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like DHP19's: a recording by the simulator, as that of subjects 3 and 13."""
    folder = tmp_path_factory.mktemp("dhp19")
    (folder / "P_matrices").mkdir()
    (folder / "Vicon_data").mkdir()
    write_calibration(folder / "P_matrices", CHANNEL_CAMERAS)
    places = [folder / "DVS_movies" / f"S{subject}" / "session2" for subject in (3, 13)]
    labels = [folder / "Vicon_data" / f"S{subject}_2_1.mat" for subject in (3, 13)]
    for place in places:
        place.mkdir(parents=True)
    rng = np.random.default_rng(3)
    motion = make_motion("walking", rng, SECONDS + 2 * LEAD_S)
    scenes = four_scenes(motion, CHANNEL_CAMERAS, rng)
    write_dhp19(places[0] / "mov1.aedat", labels[0], scenes, SECONDS)
    shutil.copy(places[0] / "mov1.aedat", places[1])
    shutil.copy(*labels)
    return folder


@pytest.fixture(scope="module")
def data(dhp19: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its recordings, imported by the command."""
    folder = tmp_path_factory.mktemp("imported")
    assert main(import_dhp19(dhp19, folder)) == 0
    return folder


def import_dhp19(dhp19: Path, data: Path, *more: str) -> list[str]:
    calibration = ("--calibration", str(dhp19 / "P_matrices"))
    return [
        "research",
        "train",
        "import",
        "dhp19",
        str(dhp19),
        *calibration,
        "--data",
        str(data),
        *more,
    ]


def test_dhp19_is_split_by_subject_and_camera(data: Path) -> None:
    for split, subject in (("train", 3), ("test", 13)):
        shards = open_shards(data / split, EDGE)
        assert [shard.meta["camera"] for shard in shards] == ["cam2", "cam3"]
        assert {shard.meta["subject"] for shard in shards} == {subject}
    assert not (data / "validation").exists()


def test_imported_labels_are_those_of_vicon_seen_by_the_camera(dhp19: Path, data: Path) -> None:
    joints = load_labels(dhp19 / "Vicon_data" / "S3_2_1.mat")
    cameras = load_dhp19_cameras(dhp19 / "P_matrices")
    view = EDGE.view.fit(346, 260)
    for shard, channel in zip(open_shards(data / "train", EDGE), (2, 3), strict=True):
        # labels lie every 10 ms from the start signal on, 100 ms after the recording's beginning
        expected = view.to_grid(cameras[channel].project(joints))
        assert len(shard.labels) >= len(joints) - 2
        first = len(joints) - len(shard.labels)
        assert np.abs(shard.labels[..., :2] - expected[first:]).max() < 0.01
        assert shard.labels[..., 2].mean() > 0.9
        # events lie around the joints
        weight = shard.counts.sum((0, 1)).astype(float)
        columns = (weight.sum(0) * np.arange(87)).sum() / weight.sum()
        assert abs(columns - expected[..., 0].mean()) < 4


def test_what_was_imported_is_not_imported_again(
    dhp19: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr("hybrid_pose_ros.research.training.importing.read_dhp19", fail)
    assert main(import_dhp19(dhp19, data)) == 0


def test_parts_are_disjoint_and_validation_is_chosen(dhp19: Path, tmp_path: Path) -> None:
    assert main(import_dhp19(dhp19, tmp_path, "--part", "1/2", "--validation", "3")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["validation"]


def noise(name: str, labels: PointLabels, seconds: float = 2.0) -> LabelledRecording:
    """A recording of noise, all over the picture."""
    rng = np.random.default_rng(0)
    count = round(40_000 * seconds)
    events = make_events(
        np.sort(rng.integers(0, round(seconds * 1e9), count)),
        rng.integers(0, 346, count),
        rng.integers(0, 260, count),
        rng.integers(0, 2, count),
    )
    return LabelledRecording(name, events, 346, 260, labels, f"{name}.npz")


def point_labels(step_ms: int = 20, seconds: float = 2.0) -> PointLabels:
    t_ns = np.arange(0, round(seconds * 1000), step_ms) * 1_000_000
    points = np.full((len(t_ns), 13, 2), 100.0)
    points[..., 0] += np.arange(len(t_ns))[:, None]
    return PointLabels(t_ns, points, np.ones((len(t_ns), 13)))


def imported(folder: Path, labels: PointLabels) -> Shard:
    import_recording(folder, noise("a", labels), EDGE)
    (shard,) = open_shards(folder, EDGE)
    return shard


def test_unknown_joints_teach_nothing(tmp_path: Path) -> None:
    labels = point_labels()
    labels.points[:, 5] = np.nan
    labels.confidence[:, 5] = 0.0
    labels.confidence[:, 6] = 0.3
    labels.points[:, 7, 0] = 500.0  # known to be out of view
    shard = imported(tmp_path, labels)
    assert not shard.labels[:, 5:8, 2].any() and shard.labels[:, :5, 2].all()
    plain = NO_AUGMENTATION
    batch = BatchSource([shard], EDGE, batch=2, steps=3, seed=0, augmentation=plain)[0]
    assert not batch.known[..., 5:7].any() and batch.known[..., 7:].all()

    torch.manual_seed(0)
    network = HybridPoseNetwork(EDGE)
    for stage in (Stage.ANN, Stage.HYBRID):
        stage_loss(network.eval(), stage, batch).backward()
    gradient = network.ann.head.conv.weight.grad
    assert gradient is not None and not gradient[5:7].any()
    assert all(gradient[joint].any() for joint in (0, 7, 12))


def test_no_sample_spans_a_time_without_labels(tmp_path: Path) -> None:
    labels = point_labels()
    gap = (labels.t_ns < 900_000_000) | (labels.t_ns > 1_400_000_000)
    shard = imported(
        tmp_path, PointLabels(labels.t_ns[gap], labels.points[gap], labels.confidence[gap])
    )
    plain = NO_AUGMENTATION
    source = BatchSource([shard], EDGE, batch=32, steps=20, seed=0, augmentation=plain)
    starts = np.array([draw.start for number in range(4) for _, draw in source.draw(number)[1]])
    ends = starts + 20
    assert ((ends <= 89) | (starts >= 141)).all()
    assert (ends <= 89).any() and (starts >= 141).any()
    with pytest.raises(ShardError, match="no recording has 100 steps in a row with labels"):
        BatchSource([shard], EDGE, batch=1, steps=90, seed=0, augmentation=plain)


def test_imported_recordings_have_their_share(data: Path, tmp_path: Path) -> None:
    own = open_shards(data / "train", EDGE)
    rendered = [
        Shard(shard.counts, shard.labels, shard.last, shard.levels, {"folder": "rendered"})
        for shard in own * 4
    ]

    def share(imported_share: float | None, shards: list[Shard]) -> float:
        source = BatchSource(
            shards,
            EDGE,
            batch=200,
            steps=2,
            seed=0,
            augmentation=NO_AUGMENTATION,
            imported_share=imported_share,
        )
        return float(np.mean([choice < 2 for choice, _ in source.draw(0)[1]]))

    assert share(None, own + rendered) == pytest.approx(0.2, abs=0.1)
    assert share(0.7, own + rendered) == pytest.approx(0.7, abs=0.1)
    assert share(0.0, own + rendered) == 0
    assert share(1.0, own) == 1
    with pytest.raises(ShardError, match="train import"):
        share(0.5, rendered)
    with pytest.raises(ShardError, match="train render"):
        share(0.5, own)


def test_a_recording_with_2d_labels_is_imported(tmp_path: Path, refusal: Refusal) -> None:
    labels = point_labels(step_ms=30)
    events = noise("me", labels).events
    np.savez(
        tmp_path / "me.npz",
        t_us=events["t"] // 1000,
        x=events["x"],
        y=events["y"],
        p=events["polarity"],
        width=346,
        height=260,
        gt_t_us=labels.t_ns // 1000,
        gt=labels.points,
    )
    recording = ["research", "train", "import", "recording", str(tmp_path / "me.npz")]
    command = [*recording, "--data", str(tmp_path / "data"), "--split", "train"]
    assert main(command) == 0
    (shard,) = open_shards(tmp_path / "data" / "train", EDGE)
    # 30 ms between labels and a pixel: the label of step 3 k is exact, others lie between
    found = 4 * shard.labels[:, 0, 0] + 1.5
    assert len(found) == 198
    assert np.allclose(found, 100 + np.arange(1, 199) / 3, atol=0.01)
    assert "exists already" in refusal(*command)


def test_a_bag_is_imported_as_the_recording_it_was_made_of(
    dhp19: Path, data: Path, tmp_path: Path
) -> None:
    recording = dhp19 / "DVS_movies" / "S3" / "session2" / "mov1.aedat"
    labels = ("--labels", str(dhp19 / "Vicon_data" / "S3_2_1.mat"))
    matrices = ("--calibration", str(dhp19 / "P_matrices"))
    bag = str(tmp_path / "bag")
    assert main(["convert", "dhp19", str(recording), *labels, *matrices, "--out", bag]) == 0
    place = ("--data", str(tmp_path), "--split", "train", "--cameras", "cam2,cam3")
    assert main(["research", "train", "import", "bag", bag, *place]) == 0
    shards = [open_shards(folder / "train", EDGE) for folder in (tmp_path, data)]
    for ours, expected in zip(*shards, strict=True):
        assert ours.meta["camera"] == expected.meta["camera"]
        assert np.array_equal(ours.counts, expected.counts)
        assert np.allclose(ours.labels, expected.labels, atol=1e-3)


def test_what_cannot_be_imported_is_named(dhp19: Path, tmp_path: Path, refusal: Refusal) -> None:
    matrices = ("--calibration", str(dhp19 / "P_matrices"), "--data", str(tmp_path / "d"))
    (tmp_path / "empty").mkdir()
    recording = dhp19 / "DVS_movies" / "S3" / "session2" / "mov1.aedat"
    events = noise("a", point_labels()).events
    columns = {"t_us": events["t"] // 1000, "x": events["x"], "y": events["y"]}
    np.savez(tmp_path / "bare.npz", **columns, p=events["polarity"], width=346, height=260)
    place = ("--data", str(tmp_path / "d"), "--split", "train")
    for arguments, says in (
        (("dhp19", str(tmp_path / "empty"), *matrices), "no recordings S<subject>"),
        (("dhp19", str(dhp19 / "DVS_movies"), *matrices), "no labels S<subject>"),
        (("dhp19", str(recording), *matrices), "one file needs --labels and --split"),
        (("dhp19", str(dhp19), *matrices, "--validation", "13"), "are for the test"),
        (("dhp19", str(dhp19), *matrices, "--part", "3/2"), "--part 3/2: not I/N"),
        (("recording", str(tmp_path / "bare.npz"), *place), "no labels"),
        (("bag", str(tmp_path / "empty"), *place), "empty"),
    ):
        assert says in refusal("research", "train", "import", *arguments)
    assert "no training data" in refusal(
        "research", "train", "score", "--data", tmp_path / "nothing"
    )


def test_lost_markers_are_unknown(dhp19: Path, tmp_path: Path) -> None:
    joints = load_labels(dhp19 / "Vicon_data" / "S3_2_1.mat")
    joints[50:, 7] = np.nan
    save_labels(tmp_path / "lost.mat", joints)
    recording = dhp19 / "DVS_movies" / "S3" / "session2" / "mov1.aedat"
    assert find_dhp19(dhp19)[0].recording == recording
    files = (str(recording), "--labels", str(tmp_path / "lost.mat"), "--split", "train")
    matrices = ("--calibration", str(dhp19 / "P_matrices"), "--cameras", "2")
    assert (
        main(["research", "train", "import", "dhp19", *files, *matrices, "--data", str(tmp_path)])
        == 0
    )
    (shard,) = open_shards(tmp_path / "train", EDGE)
    assert shard.labels[:45, 7, 2].all() and not shard.labels[60:, 7, 2].any()
    assert (shard.labels[60:, 7, :2] < -1000).all()


@pytest.mark.slow
def test_tuning_on_what_was_imported_lowers_its_error(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a checkpoint, over the ANN's stage, to the paper's table."""
    torch.manual_seed(0)
    checkpoint = tmp_path / "start.safetensors"
    save_checkpoint(checkpoint, HybridPoseNetwork(EDGE).eval(), {})
    both = tmp_path / "data"
    both.mkdir()
    for split, origin in (("train", "train"), ("validation", "train"), ("test", "test")):
        (both / split).symlink_to(data / origin)
    run = ("--data", str(both), "--out", str(tmp_path / "run"))
    small = ("--batch", "4", "--samples", "1", "--threads", "1", "--report-every", "20")
    tuned = ("--from", str(checkpoint), "--imported-share", "1", "--learning-rate", "3e-3")
    assert (
        main(
            ["research", "train", "ann", *run, *small, *tuned, "--updates", "40", "--strip", "40"]
        )
        == 0
    )
    table = (tmp_path / "run" / "results.csv").read_text().splitlines()
    losses = [float(line.split(",")[4]) for line in table if ",loss," in line]
    assert losses[-1] < 0.8 * losses[0]

    figures = tmp_path / "score.json"
    score = ("--data", str(both), "--checkpoint", str(checkpoint), "--json", str(figures))
    capsys.readouterr()
    assert main(["research", "train", "score", *score]) == 0
    assert "paper: hybrid" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert set(found["px"]) == {"all", "cam2", "cam3"}
    assert found["recordings"] == 2
    assert len(found["px"]["all"]["hybrid"]) == 10
    assert 0 < found["px"]["cam2"]["mean_pose"][0] < 30
