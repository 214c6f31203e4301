# SPDX-License-Identifier: Apache-2.0
"""The Vicon labels of DHP19: a `.mat` file per recording.

It holds one structure ``XYZPOS`` with a field per joint, [n, 3] in mm, NaN where Vicon lost it;
100 rows a second, the first at the start signal of the recording.
"""

from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.regular_files import find_obstacle
from hybrid_pose_ros.skeleton import JOINTS

LABEL_NS: Final = 10_000_000
"""Time between labels."""

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
        columns = _read_matlab(path)
        joints = np.stack([np.asarray(columns[field], float) for field in FIELDS], axis=1)
    except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
        raise LabelError(
            f"{path}: no labels of DHP19; a structure {_STRUCTURE} with [n, 3] numbers for each "
            f"of {', '.join(FIELDS)} is expected"
        ) from error
    if joints.ndim != 3 or joints.shape[2] != 3 or not len(joints):
        raise LabelError(f"{path}: the joints' coordinates are not [n, 3]")
    return joints * 1e-3


def _read_matlab(path: Path) -> dict[str, Any]:
    """Return the fields of the structure; the newest of the formats of `.mat` is HDF5."""
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            group = file[_STRUCTURE]
            return {field: np.asarray(group[field]).T for field in FIELDS}
    structure = scipy.io.loadmat(path, squeeze_me=True)[_STRUCTURE]
    return {field: structure[field].item() for field in FIELDS}


def save_labels(path: Path, joints_m: NDArray[np.floating]) -> None:
    """Write joints in metres, [n, 13, 3], as DHP19 does.

    Raises:
        OSError: the file cannot be written.
    """
    structure = {field: joints_m[:, joint] * 1e3 for joint, field in enumerate(FIELDS)}
    scipy.io.savemat(path, {_STRUCTURE: structure})
