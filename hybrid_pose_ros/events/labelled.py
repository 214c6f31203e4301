# SPDX-License-Identifier: Apache-2.0
"""Recordings and labels in `.npz`: events, and 2D points that are known at some moments.

A file holds events (``t_us`` int64 [N], in order; ``x``, ``y`` [N]; ``p`` [N], 1 = ON), the
sensor's ``width`` and ``height``, and where there are labels ``gt_t_us`` int64 [F], in order,
``gt`` [F, 13, 2] in sensor pixels, and maybe ``gt_conf`` [F, 13], 0 to 1. Labels may also lie
alone in a file of their own, as do those that the simulator writes beside its recordings
(`.truth.npz`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, check_events
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import assemble
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.skeleton import NUM_JOINTS

MAX_LABEL_GAP_NS: Final = 150_000_000
"""Between labels that lie farther apart the truth is taken as unknown."""

_EVENTS: Final = ("t_us", "x", "y", "p", "width", "height")
_LABELS: Final = ("gt_t_us", "gt")
_SIMULATED: Final = ("label_ns", "keypoints_px", "visible")


class LabelledFileError(UserError, ValueError):
    """A file of events or labels is not what it should be; the message names it and why."""


@dataclass(frozen=True)
class PointLabels:
    """Places of one person's joints in the picture of one camera.

    Attributes:
        t_ns: sensor time in ns, int64 [F], in order.
        points: sensor pixels, float64 [F, 13, 2], in the order of
            :data:`~hybrid_pose_ros.skeleton.JOINTS`; NaN: unknown.
        confidence: 0 to 1, float64 [F, 13]; 0 where a point is unknown.
    """

    t_ns: NDArray[np.int64]
    points: NDArray[np.float64]
    confidence: NDArray[np.float64]

    def at(self, t_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return points [N, 13, 2] and confidences [N, 13] at some moments.

        Both lie on the straight line between the labels before and after; the confidence is 0
        where there is no label on both sides, or :data:`MAX_LABEL_GAP_NS` lie between them.
        """
        after = np.searchsorted(self.t_ns, t_ns)
        known = after < len(self.t_ns)
        after = np.minimum(after, len(self.t_ns) - 1)
        exact = self.t_ns[after] == t_ns
        before = np.where(exact, after, after - 1)
        known &= before >= 0
        before = np.maximum(before, 0)
        gap = self.t_ns[after] - self.t_ns[before]
        known &= gap <= MAX_LABEL_GAP_NS
        part = ((t_ns - self.t_ns[before]) / np.maximum(gap, 1))[:, None]
        confidence = (1 - part) * self.confidence[before] + part * self.confidence[after]
        part = part[..., None]
        points = (1 - part) * self.points[before] + part * self.points[after]
        confidence = np.where(known[:, None] & np.isfinite(points).all(-1), confidence, 0.0)
        return np.nan_to_num(points), confidence


def load_npz_events(path: Path, losses: Losses) -> tuple[EventArray, int, int]:
    """Read the events of a file, and its sensor's width and height in pixels.

    Args:
        losses: the account of single bad events, which are dropped or mended.

    Raises:
        LabelledFileError: the file cannot be read, holds no events, or most of them are bad.
    """
    arrays = _load(path, _EVENTS, ())
    if odd := [name for name in _EVENTS if arrays[name].dtype.kind not in "biuf"]:
        raise LabelledFileError(f"{path}: {odd[0]} holds no numbers")
    if odd := [name for name in _EVENTS[4:] if arrays[name].size != 1]:
        raise LabelledFileError(f"{path}: {odd[0]} is no single number")
    width, height = (int(np.squeeze(arrays[name])) for name in ("width", "height"))
    shapes = {name: arrays[name].shape for name in _EVENTS[:4]}
    if len(set(shapes.values())) > 1 or arrays["x"].ndim != 1:
        raise LabelledFileError(f"{path}: columns of events differ in length: {shapes}")
    if width < 1 or height < 1:
        raise LabelledFileError(f"{path}: a sensor of {width}x{height} pixels")
    x, y = (_not_negative(arrays[name], limit) for name, limit in (("x", width), ("y", height)))
    t_ns = arrays["t_us"].astype(np.int64) * 1000
    try:
        events = assemble("npz", (width, height), t_ns, x, y, arrays["p"] > 0, losses)
        check_events(events, width, height)
    except (MalformedPacketError, MalformedEventsError) as error:
        raise LabelledFileError(f"{path}: {error}") from error
    return events, width, height


def _not_negative(column: NDArray[Any], outside: int) -> NDArray[np.int64]:
    """Return coordinates; those that are negative or no numbers are moved out of the sensor."""
    with np.errstate(invalid="ignore"):
        values = column.astype(np.int64)
    return np.where((values < 0) | ~np.isfinite(column), outside, values)


def load_point_labels(path: Path) -> PointLabels | None:
    """Read the labels of a file; None where it holds none.

    Raises:
        LabelledFileError: the file cannot be read, or its labels are not of this format.
    """
    arrays = _load(path, (), (*_LABELS, "gt_conf", *_SIMULATED))
    if all(name in arrays for name in _SIMULATED):
        t_ns, points, visible = (arrays[name] for name in _SIMULATED)
        return PointLabels(t_ns, points.astype(np.float64), visible.astype(np.float64))
    if not any(name in arrays for name in _LABELS):
        return None
    if missing := [name for name in _LABELS if name not in arrays]:
        raise LabelledFileError(f"{path}: labels without {missing[0]}")
    t_us, points = arrays["gt_t_us"], arrays["gt"].astype(np.float64)
    count = len(t_us)
    confidence = arrays.get("gt_conf", np.ones((count, NUM_JOINTS))).astype(np.float64)
    shapes = {"gt": (count, NUM_JOINTS, 2), "gt_conf": (count, NUM_JOINTS)}
    for name, values in (("gt", points), ("gt_conf", confidence)):
        if values.shape != shapes[name]:
            raise LabelledFileError(f"{path}: {name} is {values.shape} instead of {shapes[name]}")
    if not count or (np.diff(t_us) <= 0).any():
        raise LabelledFileError(f"{path}: gt_t_us is empty or not in order")
    confidence = np.where(np.isfinite(points).all(-1), confidence, 0.0)
    return PointLabels(t_us.astype(np.int64) * 1000, points, confidence)


def _load(path: Path, required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    if not path.is_file():
        raise LabelledFileError(f"{path}: no such file; give the path of an .npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            if missing := [name for name in required if name not in file]:
                raise LabelledFileError(
                    f"{path}: no array {missing[0]}; events are t_us, x, y, p, width and height"
                )
            return {name: file[name] for name in (*required, *optional) if name in file}
    except (OSError, BadZipFile, EOFError) as error:
        raise LabelledFileError(f"{path}: damaged or not an .npz ({error})") from error
    except ValueError as error:
        if isinstance(error, LabelledFileError):
            raise
        raise LabelledFileError(f"{path}: damaged or not an .npz ({error})") from error
