# SPDX-License-Identifier: Apache-2.0
"""Recordings and labels in `.npz`: events, and 2D points that are known at some moments.

A file holds events (``t_us`` int64 [N], in order; ``x``, ``y`` [N]; ``p`` [N], 1 = ON), the
sensor's ``width`` and ``height``, and where there are labels ``gt_t_us`` int64 [F], in order,
``gt`` [F, 13, 2] in sensor pixels, and maybe ``gt_conf`` [F, 13], 0 to 1. Labels may also lie
alone in a file of their own, as do those that the simulator writes beside its recordings
(`.truth.npz`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import (
    EventArray,
    MalformedEventsError,
    check_events,
    check_sensor,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.encodings.packet import (
    MAX_TIME_BASE_NS,
    assemble,
    nanoseconds_of,
    pixels_of,
)
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.geometry.ranges import MAX_PIXEL, RangeError, check_range
from hybrid_pose_ros.regular_files import find_obstacle
from hybrid_pose_ros.skeleton import JOINTS, MIRROR, NUM_JOINTS, SIDE_PAIRS

MAX_LABEL_GAP_NS: Final = 150_000_000
"""Between labels that lie farther apart the truth is taken as unknown."""

_NEXT_NS: Final = 50_000_000
"""Longest time between two labels of which the later is judged by the earlier."""

_TRUNK_MOVES: Final = 0.03
_BODY_MOVES: Final = 0.05
"""Least mean way of shoulders and hips, and of all joints with a counterpart, into a label that
exchanges the sides, as a share of the person's size: who walks stays below it."""

_PAIRED: Final = [joint for pair in SIDE_PAIRS for joint in pair]
_TRUNK: Final = [joint for joint in _PAIRED if JOINTS[joint].endswith(("shoulder", "hip"))]

_ROUND_NS: Final = 2**32 * 1000
_MAGIC: Final = b"PK"

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

    def side_exchanges(self) -> NDArray[np.int64]:
        """Return the times (ns) of labels that take left for right if the ones before do not.

        Nobody moves so fast that every joint lies where its counterpart of the other side was;
        pose networks that label videos say so now and then. Of labels that lack a joint, or follow
        the ones before after more than :data:`_NEXT_NS`, nothing is said.
        """
        step = np.diff(self.t_ns)
        before, after = self.points[:-1], self.points[1:]
        size = np.ptp(before[:, _PAIRED], axis=1).max(-1)
        exchanged = np.linalg.norm(after[:, list(MIRROR)] - before, axis=-1)
        moved = np.linalg.norm(after - before, axis=-1)
        found = step <= _NEXT_NS
        for joints, least in ((_TRUNK, _TRUNK_MOVES), (_PAIRED, _BODY_MOVES)):
            path = moved[:, joints].mean(-1)
            found &= (path > least * size) & (path > 3 * exchanged[:, joints].mean(-1))
        return self.t_ns[1:][found]


def load_npz_events(path: Path, losses: Losses) -> tuple[EventArray, int, int]:
    """Read the events of a file, and its sensor's width and height in pixels.

    Args:
        losses: the account of single bad events, which are dropped or mended.

    Raises:
        LabelledFileError: the file cannot be read, holds no events, or most of them are bad.
    """
    arrays = load_arrays(path, _EVENTS, (), "events")
    if odd := [name for name in _EVENTS if arrays[name].dtype.kind not in "biuf"]:
        raise LabelledFileError(f"{path}: {odd[0]} holds no numbers")
    if odd := [n for n in _EVENTS[4:] if arrays[n].size != 1 or not np.isfinite(arrays[n]).all()]:
        raise LabelledFileError(f"{path}: {odd[0]} is no single number")
    width, height = (int(np.squeeze(arrays[name])) for name in ("width", "height"))
    shapes = {name: arrays[name].shape for name in _EVENTS[:4]}
    if len(set(shapes.values())) > 1 or arrays["x"].ndim != 1:
        raise LabelledFileError(f"{path}: columns of events differ in length: {shapes}")
    try:
        check_sensor(width, height)
        x, y = (pixels_of(arrays[name], limit) for name, limit in (("x", width), ("y", height)))
        t_ns = _unwrap(nanoseconds_of(arrays["t_us"]))
        events = assemble("npz", (width, height), t_ns, x, y, arrays["p"] > 0, losses)
        check_events(events, width, height)
    except (MalformedPacketError, MalformedEventsError) as error:
        raise LabelledFileError(f"{path}: {error}") from error
    return events, width, height


def _unwrap(t_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count times on where a counter of 32 bits (us) started over, if that puts them in order."""
    steps = np.diff(t_ns)
    restarts = steps < -_ROUND_NS // 2
    # a step forwards as long is that of a damaged time, before which the counter goes on
    if not restarts.any() or steps.max() > _ROUND_NS // 2 or t_ns.max() >= _ROUND_NS:
        return t_ns
    counted = t_ns.copy()
    counted[1:] += np.cumsum(restarts) * _ROUND_NS
    return t_ns if (counted[1:] < counted[:-1]).any() else counted


def load_point_labels(path: Path) -> PointLabels | None:
    """Read the labels of a file; None where it holds none.

    Raises:
        LabelledFileError: the file cannot be read, or its labels are not of this format.
    """
    arrays = load_arrays(path, (), (*_LABELS, "gt_conf", *_SIMULATED), "labels")
    if all(name in arrays for name in _SIMULATED):
        names, unit_ns = _SIMULATED, 1
    elif not any(name in arrays for name in _LABELS):
        return None
    elif missing := [name for name in _LABELS if name not in arrays]:
        raise LabelledFileError(f"{path}: labels without {missing[0]}")
    else:
        names, unit_ns = (*_LABELS, "gt_conf"), 1000
        arrays.setdefault("gt_conf", np.ones((*arrays["gt_t_us"].shape, NUM_JOINTS)))
    if odd := [name for name in names if arrays[name].dtype.kind not in "biuf"]:
        raise LabelledFileError(f"{path}: {odd[0]} holds no numbers")
    times, points, confidence = (arrays[name] for name in names)
    _check_times(path, names[0], times, unit_ns)
    shapes = {names[1]: (len(times), NUM_JOINTS, 2), names[2]: (len(times), NUM_JOINTS)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise LabelledFileError(f"{path}: {name} is {arrays[name].shape} instead of {shape}")
    floats = times.dtype.kind == "f"
    t_ns = (np.rint(times.astype(np.float64) * unit_ns) if floats else times).astype(np.int64)
    t_ns *= 1 if floats else unit_ns
    if (t_ns[1:] <= t_ns[:-1]).any():
        raise LabelledFileError(f"{path}: {names[0]} are nearer to each other than 1 ns")
    points, confidence = points.astype(np.float64), confidence.astype(np.float64)
    try:
        check_range(names[2], confidence, 0.0, 1.0)
    except RangeError as error:
        raise LabelledFileError(f"{path}: {error}") from error
    known = (np.abs(points) <= MAX_PIXEL).all(-1)
    points = np.where(known[..., None], points, np.nan)
    return PointLabels(t_ns, points, np.where(known, confidence, 0.0))


def _check_times(path: Path, name: str, times: NDArray[Any], unit_ns: int) -> None:
    if times.ndim != 1 or not len(times) or not (times[1:] > times[:-1]).all():
        raise LabelledFileError(f"{path}: {name} is empty or not in order")
    try:
        check_range(name, times, 0, MAX_TIME_BASE_NS / unit_ns)
    except RangeError as error:
        raise LabelledFileError(f"{path}: {error}") from error


def load_arrays(
    path: Path, required: Collection[str], optional: Collection[str], wanted: str
) -> dict[str, Any]:
    """Read arrays of an `.npz` by name.

    Args:
        wanted: what such a file holds, for the message.

    Raises:
        LabelledFileError: the file cannot be read, or lacks one of the required.
    """
    if obstacle := find_obstacle(path, f"an .npz with {wanted}"):
        raise LabelledFileError(f"{path}: {obstacle}")
    try:
        with path.open("rb") as begin:
            if begin.read(len(_MAGIC)) != _MAGIC:
                raise LabelledFileError(
                    f"{path}: damaged or not an .npz; `numpy.savez` makes one, with {wanted}"
                )
        with np.load(path, allow_pickle=False) as file:
            if missing := [name for name in required if name not in file]:
                raise LabelledFileError(
                    f"{path}: no array {missing[0]}; {wanted}: {', '.join(required)}"
                )
            return {name: file[name] for name in (*required, *optional) if name in file}
    except LabelledFileError:
        raise
    except Exception as error:  # whatever NumPy, zipfile and zlib raise of damaged bytes
        words = " ".join(str(error).split()) or type(error).__name__
        raise LabelledFileError(f"{path}: damaged or not an .npz ({words})") from error
