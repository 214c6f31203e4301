# SPDX-License-Identifier: Apache-2.0
"""DHP19's labels, in MATLAB's files and in HDF5."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray

from hybrid_pose_ros.events.dhp19.derived import load_derived_labels
from hybrid_pose_ros.events.dhp19.labels import FIELDS, LabelError, load_labels, save_labels
from hybrid_pose_ros.skeleton import JOINTS


@pytest.fixture
def joints() -> NDArray[np.float64]:
    joints = np.random.default_rng(5).normal(size=(40, 13, 3))
    joints[7, 3] = np.nan
    return joints


def test_labels_come_back_in_metres(tmp_path: Path, joints: NDArray[np.float64]) -> None:
    save_labels(tmp_path / "S1_2_3.mat", joints)
    assert np.allclose(load_labels(tmp_path / "S1_2_3.mat"), joints, equal_nan=True, atol=1e-12)


def test_the_joints_have_the_data_set_s_names(tmp_path: Path) -> None:
    assert dict(zip(JOINTS, FIELDS, strict=True))["right_hip"] == "hipR"
    assert (
        *("head", "shoulderR", "shoulderL", "elbowR", "elbowL", "hipR", "hipL"),
        *("handR", "handL", "kneeR", "kneeL", "footR", "footL"),
    ) == FIELDS
    own = {field: np.full((2, 3), 100.0 * k) for k, field in enumerate(FIELDS)}
    scipy.io.savemat(tmp_path / "a.mat", {"XYZPOS": own})
    found = load_labels(tmp_path / "a.mat")
    assert found.shape == (2, 13, 3)
    assert np.allclose(found[1, :, 2], np.arange(13) * 0.1)


def test_labels_in_matlab_s_newest_format(tmp_path: Path, joints: NDArray[np.float64]) -> None:
    with h5py.File(tmp_path / "a.mat", "w", userblock_size=512) as file:
        for k, field in enumerate(FIELDS):
            file[f"XYZPOS/{field}"] = joints[:, k].T * 1e3  # MATLAB's arrays are turned over
    assert np.allclose(load_labels(tmp_path / "a.mat"), joints, equal_nan=True, atol=1e-12)


def test_other_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no such file"):
        load_labels(tmp_path / "missing.mat")
    (tmp_path / "a.mat").write_bytes(b"rubbish" * 100)
    with pytest.raises(LabelError, match="no labels of DHP19"):
        load_labels(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "b.mat", {"XYZPOS": {"head": np.zeros((2, 3))}})
    with pytest.raises(LabelError, match="no labels of DHP19"):
        load_labels(tmp_path / "b.mat")
    scipy.io.savemat(tmp_path / "c.mat", {"XYZPOS": {f: np.zeros((4, 2)) for f in FIELDS}})
    with pytest.raises(LabelError, match=r"not \[n, 3\]"):
        load_labels(tmp_path / "c.mat")


def test_derived_labels(tmp_path: Path, joints: NDArray[np.float64]) -> None:
    with h5py.File(tmp_path / "label.h5", "w") as file:
        file["XYZ/3d_poses"] = joints.transpose(0, 2, 1) * 1e3
        file["XYZ/timestamps"] = np.arange(len(joints)) * 10_000
    times, found = load_derived_labels(tmp_path / "label.h5")
    assert times.tolist() == [10_000_000 * k for k in range(len(joints))]
    assert np.allclose(found, joints, equal_nan=True, atol=1e-12)
    with pytest.raises(LabelError, match="no such file"):
        load_derived_labels(tmp_path / "missing.h5")
