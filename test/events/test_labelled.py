# SPDX-License-Identifier: Apache-2.0
"""Recordings and labels in .npz are read, and damaged ones refused with a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.labelled import (
    LabelledFileError,
    PointLabels,
    load_npz_events,
    load_point_labels,
)
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.sources import SourceError, open_source
from hybrid_pose_ros.skeleton import JOINTS, MIRROR

EVENTS = {
    "t_us": np.array([5, 6, 6]),
    "x": np.array([1, 2, 345], np.uint16),
    "y": np.array([7, 8, 259], np.uint16),
    "p": np.array([1, 0, 1], np.uint8),
    "width": 346,
    "height": 260,
}
LABELS = {"gt_t_us": np.array([0, 10]), "gt": np.ones((2, 13, 2), np.float32)}


def write(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_events_and_size_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", **EVENTS, **LABELS)
    losses = Losses()
    events, width, height = load_npz_events(path, losses)
    assert losses == Losses()
    assert (width, height) == (346, 260)
    expected = make_events([5000, 6000, 6000], [1, 2, 345], [7, 8, 259], [True, False, True])
    np.testing.assert_array_equal(events, expected)
    source = open_source(path)
    np.testing.assert_array_equal(source.read(), events)
    assert source.progress == 1.0
    assert source.read() is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x": np.array([1, 2])}, "differ in length"),
        ({"x": np.ones((3, 2))}, "differ in length"),
        ({"x": np.array(["1", "2", "3"])}, "x holds no numbers"),
        ({"width": np.array([1, 2])}, "width is no single number"),
        ({"height": 0}, "impossible sensor size 346x0"),
        ({"width": 2**40}, "impossible sensor size"),
        ({"width": np.nan}, "width is no single number"),
    ],
)
def test_damaged_events_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "a.npz", **(EVENTS | change))
    with pytest.raises(LabelledFileError, match=words):
        load_npz_events(path, Losses())


def many(**changed: tuple[int, float]) -> dict[str, Any]:
    """A hundred events of which one (column: index, value) is bad."""
    index = np.arange(100)
    columns: dict[str, Any] = {"t_us": index * 10, "x": index, "y": index, "p": index % 2}
    for name, (place, value) in changed.items():
        columns[name] = columns[name].astype(float)
        columns[name][place] = value
    return columns | {"width": 346, "height": 260}


@pytest.mark.parametrize("value", [346, -1, 1e9, np.nan, -np.inf])
def test_one_event_outside_the_sensor_costs_itself(tmp_path: Path, value: float) -> None:
    source = open_source(write(tmp_path / "a.npz", **many(x=(7, value))))
    events = source.read()
    assert events is not None
    assert events["y"].tolist() == [y for y in range(100) if y != 7]
    assert source.trouble == "1 events outside the sensor are left out"


def test_one_time_out_of_order_is_held(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "a.npz", **many(t_us=(7, 1e12))))
    events = source.read()
    assert events is not None
    expected = np.arange(100) * 10_000
    expected[7] = expected[6]
    np.testing.assert_array_equal(events["t"], expected)
    assert source.trouble.startswith("1 events out of order")


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf, -1e300, 1e300, -(2.0**63)])
@pytest.mark.parametrize("place", [0, 7, 99])
def test_a_time_that_no_packet_can_have_costs_its_event(
    tmp_path: Path, place: int, value: float
) -> None:
    source = open_source(write(tmp_path / "a.npz", **many(t_us=(place, value))))
    events = source.read()
    assert events is not None
    assert set(events["t"].tolist()) == {k * 10_000 for k in range(100) if k != place}
    assert source.trouble.startswith("1 ")


def test_times_that_no_packet_can_have_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", **(many() | {"t_us": np.arange(100) - 10**6}))
    with pytest.raises(SourceError, match=r"a\.npz: .*100 of 100 times are not from 0"):
        open_source(path)


def test_most_events_outside_the_sensor_are_another_sensor(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", **(many() | {"width": 20}))
    with pytest.raises(SourceError, match="80 of 100 events lie outside the sensor of 20x260"):
        open_source(path)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LabelledFileError, match=r"none\.npz: no such file"):
        load_npz_events(tmp_path / "none.npz", Losses())
    path = tmp_path / "a.npz"
    path.write_text("no zip")
    with pytest.raises(SourceError, match=r"a\.npz: damaged or not an \.npz"):
        open_source(path)
    with pytest.raises(LabelledFileError, match="no array t_us"):
        load_npz_events(write(tmp_path / "b.npz", **LABELS), Losses())


def test_labels_without_confidence_are_sure_where_they_are_finite(tmp_path: Path) -> None:
    points = np.ones((2, 13, 2))
    points[1, 4] = np.nan
    path = write(tmp_path / "a.npz", gt_t_us=[0, 10], gt=points)
    labels = load_point_labels(path)
    assert labels is not None
    assert labels.t_ns.tolist() == [0, 10_000]
    assert labels.confidence[0].tolist() == [1.0] * 13
    assert labels.confidence[1, 4] == 0.0
    assert load_point_labels(write(tmp_path / "b.npz", **EVENTS)) is None


def test_labels_of_the_simulator_are_read(tmp_path: Path) -> None:
    visible = np.ones((3, 13), bool)
    visible[2, 7] = False
    truth = {"label_ns": [0, 10, 20], "keypoints_px": np.full((3, 13, 2), 5.0), "visible": visible}
    labels = load_point_labels(write(tmp_path / "a.truth.npz", **truth))
    assert labels is not None
    assert labels.t_ns.tolist() == [0, 10, 20]
    assert (labels.points == 5.0).all()
    assert labels.confidence.sum() == 38


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gt": np.ones((2, 12, 2))}, r"gt is \(2, 12, 2\) instead of \(2, 13, 2\)"),
        ({"gt_t_us": np.array([10, 10])}, "not in order"),
        ({"gt_conf": np.ones(2)}, r"gt_conf is \(2,\)"),
    ],
    ids=["shape", "order", "confidence"],
)
def test_damaged_labels_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = write(tmp_path / "a.npz", **(LABELS | change))
    with pytest.raises(LabelledFileError, match=words):
        load_point_labels(path)


def test_truth_lies_on_the_line_between_labels_that_are_near() -> None:
    ms = 1_000_000
    points = np.zeros((3, 13, 2))
    points[1, :, 0] = 10.0
    labels = PointLabels(np.array([0, 100 * ms, 300 * ms]), points, np.ones((3, 13)))
    found, confidence = labels.at(
        np.array([-1, 0, 25 * ms, 100 * ms, 200 * ms, 300 * ms, 301 * ms])
    )
    assert found[1:4, 0, 0].tolist() == [0.0, 2.5, 10.0]
    # before the first, in a gap, and after the last label nothing is known
    assert confidence[:, 0].tolist() == [0, 1, 1, 1, 0, 1, 0]


def walking(frames: int = 30, hz: float = 30.0) -> PointLabels:
    """Somebody 170 px high who walks past in profile: limbs of both sides cross each other."""
    times = np.arange(frames) / hz
    swing = np.sin(2 * np.pi * 1.0 * times)
    points = np.zeros((frames, 13, 2))
    rows = {
        "head": 5,
        "shoulder": 30,
        "elbow": 60,
        "hand": 85,
        "hip": 90,
        "knee": 130,
        "foot": 170,
    }
    reach = {"head": 0, "shoulder": 2, "elbow": 8, "hand": 25, "hip": 2, "knee": 15, "foot": 40}
    for joint, name in enumerate(JOINTS):
        part = name.split("_")[-1]
        side = 1 if name.startswith("right") else -1
        points[:, joint, 0] = 50 + 60 * times + side * reach[part] * swing
        points[:, joint, 1] = rows[part]
    return PointLabels((times * 1e9).astype(np.int64), points, np.ones((frames, 13)))


def facing(frames: int = 30) -> PointLabels:
    labels = walking(frames)
    for joint, name in enumerate(JOINTS):
        labels.points[:, joint, 0] += {"right": -18, "left": 18}.get(name.split("_")[0], 0)
    return labels


def test_labels_that_exchange_the_sides_are_found() -> None:
    labels = facing()
    labels.points[12:20] = labels.points[12:20][:, list(MIRROR)]
    assert labels.side_exchanges().tolist() == labels.t_ns[[12, 20]].tolist()


def test_a_person_who_moves_exchanges_no_sides() -> None:
    """Not in profile, where limbs cross; not where a label is unknown, or far from the last."""
    assert not len(facing().side_exchanges())
    assert not len(walking().side_exchanges())
    labels = facing()
    labels.points[12:] = labels.points[12:][:, list(MIRROR)]
    labels.points[12, 3] = np.nan
    assert not len(labels.side_exchanges())
    rare = facing()
    rare.points[12:] = rare.points[12:][:, list(MIRROR)]
    rare.t_ns[:] *= 2
    assert not len(rare.side_exchanges())
    assert not len(
        PointLabels(rare.t_ns[:1], rare.points[:1], rare.confidence[:1]).side_exchanges()
    )
