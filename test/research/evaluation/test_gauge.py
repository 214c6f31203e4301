# SPDX-License-Identifier: Apache-2.0
"""The gauge: frames, labels, errors and the command."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.research.evaluation.dhp19_cnn import Dhp19Cnn, count_image
from hybrid_pose_ros.research.evaluation.gauge import (
    MESH_SHARE,
    Take,
    clean,
    cut_frames,
    locate,
    simulate_cameras,
    summarise_bodies,
    take_of,
)
from hybrid_pose_ros.research.evaluation.published import FRONT_CHANNELS
from hybrid_pose_ros.simulation.recording import Recording, Truth

from ...conftest import Refusal

MS = 1_000_000
PROJECTION = (
    np.array(((1, 0, 0), (0, -1, 260), (0, 0, 1)))
    @ DHP19_LIKE[0].matrix
    @ np.diag((1e-3, 1e-3, 1e-3, 1.0))
)
"""A camera's matrix as DHP19 writes it: millimetres, and v upwards from row 260."""


def recording(events_per_ms: int, column: int) -> Recording:
    """Two seconds with a steady rate of events in one column; joints move one px per label."""
    count = 2000 * events_per_ms
    t = np.arange(count) * (MS // events_per_ms)
    rows = np.arange(count) % 260
    events = make_events(t, np.full(count, column), rows, np.zeros(count, bool))
    label_ns = np.arange(1, 201) * 10 * MS
    keypoints = np.zeros((200, 13, 2), np.float32)
    keypoints[..., 0] = np.arange(200)[:, None]
    visible = np.ones((200, 13), bool)
    visible[20, 5] = False
    truth = Truth(
        label_ns, keypoints, np.zeros((200, 13, 3), np.float32), visible, np.eye(3, 4), "test"
    )
    return Recording(events, 346, 260, truth)


def test_frames_share_their_events_among_all_cameras() -> None:
    # 60 events per ms in all: a frame of 30,000 lasts 500 ms
    rates = {0: 10, 1: 20, 2: 10, 3: 20}
    recordings = {channel: recording(rate, 100 + channel) for channel, rate in rates.items()}
    frames = list(cut_frames(recordings))
    assert len(frames) == 3  # the fourth has no event after it
    assert [sorted(frame) for frame in frames] == [list(FRONT_CHANNELS)] * 3
    second = frames[1][2]
    between = recordings[2].events[5000:10_000]
    np.testing.assert_array_equal(second.image, count_image(between))
    # labels at 500, 510 ... 1000 ms have 49, 50 ... 99
    np.testing.assert_allclose(second.keypoints_px[:, 0], 74.0)
    assert second.visible.all()
    assert frames[0][3].visible.tolist() == [joint != 5 for joint in range(13)]


def test_frames_too_short_for_a_label_are_left_out() -> None:
    recordings = {channel: recording(5000, channel) for channel in FRONT_CHANNELS}
    frames = list(cut_frames(recordings))  # of 3 ms each
    with_label = [frame for frame in frames if frame]
    assert frames == with_label
    assert 0 < len(frames) < 2000 / 3


def test_cleaning_silences_hot_pixels_and_lamps_but_not_what_moves() -> None:
    # a block of 3x3 pixels at 200 Hz each, as a jogger's legs make; a pair of hot ones at 2 kHz;
    # a pair where a lamp shines into camera 2
    places = [(150 + i % 3, 200 + i // 3) for i in range(9)], [(50, 60), (51, 60)]
    lamp = [(100, 120), (101, 120)]
    events = []
    for pixels, hz in ((places[0], 200), (places[1], 2000), (lamp, 200)):
        t = np.repeat(np.arange(2 * hz) * (1000 * MS // hz), len(pixels))
        x, y = np.tile(pixels, (2 * hz, 1)).T
        events.append(make_events(t, x, y, np.ones(len(t), bool)))
    merged = np.concatenate(events)
    merged = merged[np.argsort(merged["t"], kind="stable")]
    dirty = replace(recording(1, 0), events=merged)
    for channel, lamp_stays in ((2, False), (3, True)):
        cleaned = clean(dirty, channel).events
        assert cleaned["t"].min() >= 500 * MS  # the warm-up
        assert (cleaned["y"] >= 200).sum() == 9 * 300  # 1.5 s
        assert (cleaned["y"] == 60).sum() == 0
        assert ((cleaned["y"] == 120).sum() == 2 * 300) == lamp_stays


def test_the_highest_pixel_is_found() -> None:
    class Still(Dhp19Cnn):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            heatmaps = torch.zeros(len(images), 13, 260, 344)
            for joint in range(13):
                heatmaps[:, joint, 10 + joint, 300 - joint] = 1.0
            return heatmaps

    found = locate(Still(), np.zeros((2, 260, 344), np.float32))
    assert found.shape == (2, 13, 2)
    assert found[1, 4].tolist() == [296, 14]


@pytest.fixture
def blind_cnn(tmp_path: Path) -> Path:
    """A file like the published one, but of zeros: every joint is at (0, 0)."""
    path = tmp_path / "cnn.model"
    with h5py.File(path, "w") as file:
        for name, parameter in Dhp19Cnn().kernels.items():
            first, second, rows, columns = parameter.shape
            file[f"model_weights/{name}/{name}/kernel:0"] = np.zeros(
                (rows, columns, second, first), np.float32
            )
    return path


def test_command_prints_and_writes_the_errors(
    blind_cnn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "gauge.json"
    arguments = ["--network", str(blind_cnn), "--seconds", "0.6", "--workers", "1"]
    arguments += ["--json", str(out), "--bodies", "capsules", "--seeds", "0"]
    assert main(["research", "gauge", *arguments, "--movement", "star_jumps"]) == 0
    figures = json.loads(out.read_text())
    assert set(figures["mpjpe_px"]) == {"ch2", "ch3"}
    assert figures["mpjpe_px"] == figures["mpjpe_px_per_movement"]["star_jumps"]
    assert figures["mpjpe_px"] == figures["mpjpe_px_per_seed"]["0"]
    assert figures["mpjpe_px_spread"] == {"ch2": None, "ch3": None}
    # the person stands near the middle of the image, (173, 130)
    assert all(120 < error < 300 for error in figures["mpjpe_px"].values())
    assert figures["beyond_20px"] == {"ch2": 1.0, "ch3": 1.0}
    said = capsys.readouterr().out
    assert "star_jumps" in said
    assert "prove" in said  # seed 0 is one that markers were fitted on


@pytest.mark.slow
def test_capsules_and_mesh_differ_in_the_body_alone_and_the_mixture_takes_from_both() -> None:
    cameras = dict(zip((2, 3, 0, 1), DHP19_LIKE, strict=True))
    takes = [Take("walking", body, 1) for body in ("capsules", "mesh")]
    first, second = (simulate_cameras(take, cameras, 0.1)[2] for take in takes)
    near = np.linalg.norm(first.truth.keypoints_px - second.truth.keypoints_px, axis=-1)
    assert 0.5 < near.mean() < 12.0  # the markers lie on another skin
    assert len(first.events) != len(second.events)
    names = [f"movement {number}" for number in range(400)]
    mixed = [take_of(name, "mixture", 1) for name in names]
    assert np.mean([take.body == "mesh" for take in mixed]) == pytest.approx(MESH_SHARE, abs=0.08)
    assert [take.movement for take in mixed] == names
    assert take_of("walking", "capsules", 1) == takes[0]


def test_seeds_are_summarised_with_their_spread() -> None:
    errors = {
        Take(name, "mesh", seed): {
            channel: np.full(4, float(seed + channel)) for channel in (2, 3)
        }
        for name in ("a", "b")
        for seed in (1, 2, 24)
    }
    figures = summarise_bodies(errors, "mesh", ["a", "b"], [1, 2, 24])
    assert figures["mpjpe_px"] == {"ch2": 11.0, "ch3": 12.0}
    assert figures["median_px"] == {"ch2": 4.0, "ch3": 5.0}
    assert figures["mpjpe_px_per_seed"]["24"] == {"ch2": 26.0, "ch3": 27.0}
    assert figures["mpjpe_px_spread"]["ch2"] == pytest.approx(np.std([1, 2, 24], ddof=1), abs=1e-3)
    assert figures["beyond_20px"]["ch2"] == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.slow
def test_cameras_beside_the_network_are_taken_and_processes_change_nothing(
    blind_cnn: Path, tmp_path: Path
) -> None:
    arguments = ["--network", str(blind_cnn), "--seconds", "0.2", "--movement", "star_jumps"]
    for number in (1, 2, 3, 4):
        np.save(tmp_path / f"P{number}.npy", PROJECTION)
    figures = []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.json"
        own = ["--workers", workers, "--seeds", "1,2", "--json", str(out)]
        assert main(["research", "gauge", *arguments, *own]) == 0
        figures.append(json.loads(out.read_text()))
    assert figures[0] == figures[1]
    assert figures[0]["cameras"] == ["dhp19_P4", "dhp19_P1", "dhp19_P3", "dhp19_P2"]
    assert figures[0]["bodies"] == "mixture"
    assert figures[0]["mpjpe_px"] == figures[0]["by_bodies"]["mixture"]["mpjpe_px"]
    assert figures[0]["mpjpe_px_spread"]["ch2"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--network", "absent.model"), "absent.model"),
        (("--bodies", "capsules,wood"), "wood"),
        (("--seeds", "1,x"), "--seeds"),
        (("--movement", "moonwalk"), "moonwalk"),
        (("--seconds", "0"), "--seconds"),
        (("--workers", "0"), "--workers"),
        (("--calibration", "absent"), "absent"),
        (
            ("--movement", "bicep_curl_left", "--seconds", "0.02", "--workers", "1"),
            "simulate for longer",
        ),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: tuple[str, ...], says: str, blind_cnn: Path, refusal: Refusal
) -> None:
    assert says in refusal("research", "gauge", "--network", blind_cnn, *arguments)
