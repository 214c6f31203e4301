# SPDX-License-Identifier: Apache-2.0
"""The Vicon labels of DHP19: a `.mat` file per recording.

It holds one structure ``XYZPOS`` with a field per joint, [n, 3] in mm, NaN where Vicon lost it;
100 rows a second, the first at the start signal of the recording.
"""

from collections.abc import Container
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.dhp19.hdf5 import check_stored
from hybrid_pose_ros.events.dhp19.matlab import read_structure
from hybrid_pose_ros.geometry.ranges import MAX_METRES, RangeError, check_range
from hybrid_pose_ros.regular_files import find_obstacle
from hybrid_pose_ros.skeleton import JOINTS

LABEL_NS: Final = 10_000_000
"""Time between labels."""

MAX_BYTES: Final = 2**28
"""Of the numbers of a file that are read at once; labels have a hundredth of it."""

_STRUCTURE: Final = "XYZPOS"


def _field(joint: str) -> str:
    """`right_shoulder` is `shoulderR` in the files."""
    side, _, part = joint.rpartition("_")
    return part + {"": "", "left": "L", "right": "R"}[side]


FIELDS: Final = tuple(_field(joint) for joint in JOINTS)
"""Names in the file, in the order of the joints."""


class LabelError(UserError, ValueError):
    """Labels cannot be read; the message names the file and the remedy."""


def load_labels(path: Path) -> NDArray[np.float64]:
    """Read the joints in metres, [n, 13, 3]; NaN where a joint was lost.

    Raises:
        LabelError: the file is missing, damaged, or holds no labels.
    """
    if obstacle := find_obstacle(path, "the Vicon labels (*.mat) of the recording"):
        raise LabelError(f"{path}: {obstacle}")
    try:
        joints = _read_hdf5(path) if h5py.is_hdf5(path) else _read_matlab(path)
    except Exception as error:  # whatever SciPy, h5py and zlib raise of damaged bytes
        reason = " ".join(str(error).split())
        raise LabelError(
            f"{path}: damaged, or no labels of DHP19 ({reason}); a structure {_STRUCTURE} with "
            f"[n, 3] numbers for each of {', '.join(FIELDS)} is expected"
        ) from error
    if joints.ndim != 3 or joints.shape[2] != 3 or not len(joints):
        raise LabelError(f"{path}: the joints' coordinates are not [n, 3]")
    return checked_metres(path, joints * 1e-3)


def real_numbers(values: Any) -> NDArray[np.float64]:
    """Return an array of a file as floats.

    Raises:
        TypeError: it holds no real numbers.
        ValueError: there are too many, or they were never written.
    """
    if isinstance(values, h5py.Dataset):
        check_stored(values)
    if getattr(values, "nbytes", 0) > MAX_BYTES:
        raise ValueError(f"{values.nbytes} bytes of numbers")
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{array.dtype} instead of numbers")
    with np.errstate(invalid="ignore"):
        return array.astype(np.float64) + 0.0  # which quiets every NaN


def checked_metres(path: Path, joints_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the joints of a file, NaN where one is unknown.

    Raises:
        LabelError: one is where nobody can be.
    """
    try:
        check_range("place of a joint (m)", joints_m, -MAX_METRES, MAX_METRES, nan=True)
    except RangeError as error:
        raise LabelError(f"{path}: damaged ({error}); copy it again") from error
    return joints_m


def _read_hdf5(path: Path) -> NDArray[np.float64]:
    """Return the numbers of a file in the newest of the formats of `.mat`."""
    with h5py.File(path) as file:
        group = file[_STRUCTURE]
        _check_fields(group)
        return np.stack([real_numbers(group[field]).T for field in FIELDS], axis=1)


def _read_matlab(path: Path) -> NDArray[np.float64]:
    """Return the numbers of a file in one of the older formats."""
    structure = read_structure(path.read_bytes(), _STRUCTURE)
    _check_fields(structure)
    return np.stack([real_numbers(structure[field]) for field in FIELDS], axis=1)


def _check_fields(found: Container[str]) -> None:
    """Raise ValueError where a joint has no field."""
    if missing := [field for field in FIELDS if field not in found]:
        raise ValueError(f"no numbers for {', '.join(missing)}")


def save_labels(path: Path, joints_m: NDArray[np.floating]) -> None:
    """Write joints in metres, [n, 13, 3], as DHP19 does.

    Raises:
        OSError: the file cannot be written.
    """
    structure = {field: joints_m[:, joint] * 1e3 for joint, field in enumerate(FIELDS)}
    scipy.io.savemat(path, {_STRUCTURE: structure})
