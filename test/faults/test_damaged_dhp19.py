# SPDX-License-Identifier: Apache-2.0
"""Damaged files of DHP19, and labels: one bad event costs itself, the rest is one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording, load_derived_labels
from hybrid_pose_ros.events.dhp19.labels import FIELDS, LabelError, load_labels
from hybrid_pose_ros.events.dhp19.recording import RecordingError
from hybrid_pose_ros.events.labelled import LabelledFileError, load_point_labels
from hybrid_pose_ros.simulation.recording import load_truth

COUNT = 100
Column = NDArray[Any]


def write_events(path: Path, change: Callable[[dict[str, Any]], None] = lambda own: None) -> Path:
    """Write COUNT events of each camera, those of the second one with a change."""
    index = np.arange(COUNT)
    with h5py.File(path, "w") as file:
        for camera in range(4):
            own = {"t": index * 1000, "x": index + 1, "y": index + 1, "p": index % 2}
            if camera == 1:
                change(own)
            for name, column in own.items():
                file[f"cam{camera}_events/{name}"] = column
    return path


def put(name: str, place: int, value: float) -> Callable[[dict[str, Any]], None]:
    def change(own: dict[str, Any]) -> None:
        own[name] = own[name].astype(type(value))
        own[name][place] = value

    return change


def read(path: Path) -> tuple[Column, str]:
    """Return the times of the second camera's events, and what was lost."""
    recording = DerivedRecording(path)
    times = [batch[1]["t"] for batch in recording.batches()]
    return np.concatenate(times), recording.trouble


@pytest.mark.parametrize("block", [2**18, 16])
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("value", [0, -5, 347, 2**40, np.nan, np.inf])
def test_one_event_outside_the_sensor_costs_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: float, block: int
) -> None:
    monkeypatch.setattr("hybrid_pose_ros.events.dhp19.derived.BLOCK", block)
    times, trouble = read(write_events(tmp_path / "a.h5", put(name, 7, value)))
    assert times.tolist() == [k * 10**6 for k in range(COUNT) if k != 7]
    assert trouble == "1 events outside the sensor are left out"


@pytest.mark.parametrize("value", [-5, -(2**62), 10**15, 2**63 - 1, np.nan, np.inf])
def test_one_damaged_time_costs_itself(tmp_path: Path, value: float) -> None:
    times, trouble = read(write_events(tmp_path / "a.h5", put("t", 7, value)))
    assert times.tolist() == [(6 if k == 7 else k) * 10**6 for k in range(COUNT)]
    assert trouble.startswith("1 events out of order")


def test_a_first_time_that_no_packet_can_have_costs_its_event(tmp_path: Path) -> None:
    times, trouble = read(write_events(tmp_path / "a.h5", put("t", 0, -(2**62))))
    assert times.tolist() == [k * 10**6 for k in range(1, COUNT)]
    assert trouble == "1 words that make no sense are left out"


def test_time_does_not_go_back_from_block_to_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybrid_pose_ros.events.dhp19.derived.BLOCK", 10)
    times, trouble = read(write_events(tmp_path / "a.h5", put("t", 10, 5)))
    assert times.tolist() == [(9 if k == 10 else k) * 10**6 for k in range(COUNT)]
    assert trouble.startswith("1 events out of order")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: own.update(x=own["x"][:-1]), "differ in length"),
        (lambda own: own.update(t=own["t"][:5]), "differ in length"),
        (lambda own: own.update(x=own["x"][:, None]), "no column of numbers"),
        (lambda own: own.update(t=3), "no column of numbers"),
        (lambda own: own.update(t=np.array([b"abc"] * COUNT)), "no column of numbers"),
        (lambda own: own.update(t=own["t"] * 1j), "no column of numbers"),
        (lambda own: own.pop("t"), "damaged"),
        (lambda own: own.pop("p"), "damaged"),
        (lambda own: own.update(t=own["t"] - 10**9), "100 of 100 times"),
        (lambda own: own.update(x=own["x"] * np.nan), "100 of 100 events lie outside"),
    ],
)
def test_columns_that_make_no_sense_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str
) -> None:
    with pytest.raises(RecordingError, match=rf"a\.h5: .*{words}") as caught:
        read(write_events(tmp_path / "a.h5", change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "instead",
    [np.arange(5), h5py.SoftLink("/cam1_events"), h5py.ExternalLink("none.h5", "/x")],
    ids=["dataset", "loop", "link"],
)
def test_what_is_no_group_of_events_is_refused(tmp_path: Path, instead: object) -> None:
    path = write_events(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["cam1_events"]
        file["cam1_events"] = instead
    with pytest.raises(RecordingError, match=r"a\.h5: "):
        read(path)


def leave_unwritten(file: h5py.File, name: str, how: str) -> None:
    """Replace a dataset by one of the same shape of which HDF5 makes up a part or all."""
    values = file[name][()]
    del file[name]
    if how == "external":
        file.create_dataset(name, values.shape, "f8", external=[("none.bin", 0, 8 * values.size)])
    elif how == "virtual":
        layout = h5py.VirtualLayout(values.shape, values.dtype)
        file.create_virtual_dataset(name, layout)
    elif how == "contiguous":
        file.create_dataset(name, values.shape, values.dtype)
    else:
        chunks = (5, *values.shape[1:])
        file.create_dataset(name, values.shape, values.dtype, chunks=chunks)[:5] = values[:5]


UNWRITTEN = pytest.mark.parametrize("how", ["external", "virtual", "contiguous", "chunks"])


@UNWRITTEN
@pytest.mark.parametrize("column", ["t", "x", "y", "p"])
def test_events_that_were_never_written_are_not_made_up(
    tmp_path: Path, column: str, how: str
) -> None:
    path = write_events(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        leave_unwritten(file, f"cam2_events/{column}", how)
    with pytest.raises(RecordingError, match=rf"a\.h5: .*cam2_events/{column}"):
        read(path)


@UNWRITTEN
@pytest.mark.parametrize("name", ["3d_poses", "timestamps"])
def test_labels_that_were_never_written_are_not_made_up(
    tmp_path: Path, name: str, how: str
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["XYZ/3d_poses"], file["XYZ/timestamps"] = np.ones((9, 3, 13)), np.arange(9) * 10_000
    assert len(load_derived_labels(path)[0]) == 9
    with h5py.File(path, "a") as file:
        leave_unwritten(file, f"XYZ/{name}", how)
    with pytest.raises(LabelError, match=r"a\.h5: damaged"):
        load_derived_labels(path)


@pytest.mark.parametrize("options", [{}, {"chunks": (7,)}, {"chunks": (7,), "compression": 9}])
def test_zeros_that_were_written_are_events(tmp_path: Path, options: dict[str, Any]) -> None:
    path = write_events(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["cam1_events/p"]
        file.create_dataset("cam1_events/p", data=np.zeros(COUNT, np.uint8), **options)
    times, _ = read(path)
    assert len(times) == COUNT


POSES, TIMES = np.ones((5, 3, 13)), np.arange(5) * 10_000


@pytest.mark.parametrize(
    ("poses", "times"),
    [
        (POSES * np.inf, TIMES),
        (POSES * 1e300, TIMES),
        (POSES * 1j, TIMES),
        (POSES[:0], TIMES[:0]),
        (POSES, TIMES[::-1]),
        (POSES, TIMES - 10**9),
        (POSES, TIMES * np.nan),
        (POSES, TIMES + 2**62),
        (POSES, TIMES[:, None]),
        (POSES, 3.0),
        (POSES, np.array([b"a"] * 5)),
        (POSES, TIMES[:4]),
    ],
)
def test_labels_that_make_no_sense_are_refused(tmp_path: Path, poses: Any, times: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["XYZ/3d_poses"], file["XYZ/timestamps"] = poses, times
    with pytest.raises(LabelError, match=r"a\.h5: "):
        load_derived_labels(tmp_path / "a.h5")


@pytest.mark.parametrize("factor", [np.inf, 1e300, 1j])
def test_vicon_labels_are_numbers_where_a_person_can_be(tmp_path: Path, factor: complex) -> None:
    structure = {field: np.ones((5, 3)) for field in FIELDS}
    scipy.io.savemat(
        tmp_path / "a.mat", {"XYZPOS": structure | {"head": structure["head"] * factor}}
    )
    with pytest.raises(LabelError, match=r"a\.mat: "):
        load_labels(tmp_path / "a.mat")


@pytest.mark.parametrize("hdf5", [True, False])
def test_a_joint_that_has_no_labels_is_named(tmp_path: Path, hdf5: bool) -> None:
    structure = {field: np.ones((5, 3)) for field in FIELDS if field != "kneeL"}
    path = tmp_path / "a.mat"
    if hdf5:
        with h5py.File(path, "w") as file:
            for field, numbers in structure.items():
                file[f"XYZPOS/{field}"] = numbers.T
    else:
        scipy.io.savemat(path, {"XYZPOS": structure})
    with pytest.raises(LabelError, match=r"a\.mat: .*\(no numbers for kneeL\)"):
        load_labels(path)


def test_labels_larger_than_any_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("XYZ/3d_poses", (2**24, 3, 13), "f8", chunks=True)
        file.create_dataset("XYZ/timestamps", (2**24,), "f8", chunks=True)
    with pytest.raises(LabelError, match=r"a\.h5: "):
        load_derived_labels(tmp_path / "a.h5")


@pytest.mark.parametrize("step", [1e-5, 1e-7])
def test_labels_at_the_same_time_are_refused(tmp_path: Path, step: float) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["XYZ/3d_poses"], file["XYZ/timestamps"] = POSES, np.arange(5) * step
    with pytest.raises(LabelError, match="not in order"):
        load_derived_labels(tmp_path / "a.h5")
    np.savez(tmp_path / "a.npz", gt_t_us=np.arange(5) * step, gt=np.ones((5, 13, 2)))
    with pytest.raises(LabelledFileError, match="nearer to each other"):
        load_point_labels(tmp_path / "a.npz")


def test_label_times_keep_parts_of_a_microsecond(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", gt_t_us=np.arange(5) + 0.25, gt=np.ones((5, 13, 2)))
    labels = load_point_labels(tmp_path / "a.npz")
    assert labels is not None
    assert labels.t_ns.tolist() == [250, 1250, 2250, 3250, 4250]


@pytest.mark.parametrize("numbers", [np.float64, np.float32, np.int16, np.uint8])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("count", [1, 40])
def test_vicon_labels_are_read_as_scipy_writes_them(
    tmp_path: Path, numbers: type, compressed: bool, count: int
) -> None:
    rng = np.random.default_rng(0)
    joints = {field: rng.integers(0, 200, (count, 3)).astype(numbers) for field in FIELDS}
    beside = {"cell": np.array([1, "a"], object), "text": "abc"}
    content = {"before": np.eye(3), "XYZPOS": beside | joints, "behind": "abc"}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compressed)
    expected = np.stack([joints[field] for field in FIELDS], axis=1)
    assert np.allclose(load_labels(tmp_path / "a.mat"), expected * 1e-3)


def simulated() -> dict[str, Any]:
    return {
        "label_ns": np.arange(5) * 10**7,
        "keypoints_px": np.ones((5, 13, 2), np.float32),
        "joints_m": np.ones((5, 13, 3), np.float32),
        "visible": np.ones((5, 13), bool),
        "camera_matrix": np.array([[345.0, 0, 172.5, 0], [0, 345, 129.5, 0], [0, 0, 1, 3]]),
        "name": np.array("walking"),
    }


@pytest.mark.parametrize(
    "change",
    [
        {"label_ns": np.arange(5)[::-1]},
        {"label_ns": np.array(["a"] * 5)},
        {"label_ns": np.ones((5, 5))},
        {"label_ns": np.arange(5) * np.nan},
        {"joints_m": np.ones((4, 13, 3))},
        {"joints_m": np.full((5, 13, 3), np.inf)},
        {"visible": np.array(["a"])},
        {"camera_matrix": np.zeros((3, 4))},
        {"camera_matrix": np.ones(3)},
    ],
)
def test_labels_of_the_simulator_are_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.truth.npz"
    np.savez(path, **simulated())
    assert load_truth(path).name == "walking"
    np.savez(path, **simulated() | change)
    with pytest.raises(UserError, match=r"a\.truth\.npz: "):
        load_truth(path)


@pytest.mark.parametrize(
    "change",
    [
        {"gt": np.array(["a"])},
        {"gt_conf": np.full((5, 13), np.nan)},
        {"gt_conf": np.full((5, 13), 7.0)},
        {"gt_t_us": np.arange(5) * np.nan},
        {"gt_t_us": np.arange(5) + 2.0**62},
    ],
)
def test_labels_of_points_are_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{"gt_t_us": np.arange(5), "gt": np.ones((5, 13, 2))} | change)
    with pytest.raises(LabelledFileError, match=r"a\.npz: "):
        load_point_labels(path)
