# SPDX-License-Identifier: Apache-2.0
"""Random choices of a training sample: its place in a recording, its past, and its augmentation.

All of it follows from the labels, so a sample can be drawn where the events are not.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.events.activity import NEVER
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.skeleton import JOINTS, MIRROR

_MIRROR = np.array(MIRROR)

_ARMS, _LEGS = (
    np.array([i for i, name in enumerate(JOINTS) if name.endswith(ends)])
    for ends in (("elbow", "hand"), ("hip", "knee", "foot"))
)

_PAUSE_S = (0.3, 90.0)
"""Shortest and longest pause in seconds."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a sample.

    Attributes:
        mirror: probability of a left-right mirrored sample (joints swapped accordingly).
        invert: probability of exchanged polarities.
        shift: largest shift in cells along x and y.
        forget: probability that the ANN's history is cut off at a random length, as it is when
            a stream has just begun.
        strip: columns that are cut out around the person, for training at half the cost; None:
            all.
        pause: probability that a person has rested for a while (0.3 to 90 s) at some moment of the
            past, in the pose of that moment.
        feedback: probability that the ANN is fed with an earlier pose, damaged as its own may be.
        still: samples are drawn in proportion to the mean speed of their visible joints plus this
            speed (cells per step), so that fast movements, which are rare, are learnt as well as
            standing; None: all as often.
    """

    mirror: float = 0.5
    invert: float = 0.2
    shift: tuple[int, int] = (8, 6)
    forget: float = 0.12
    pause: float = 0.3
    feedback: float = 0.6
    strip: int | None = None
    still: float | None = 0.1


NO_AUGMENTATION = Augmentation(
    mirror=0.0, invert=0.0, shift=(0, 0), forget=0.0, pause=0.0, feedback=0.0, still=None
)


def _strip(
    points: NDArray[np.float32],
    visible: NDArray[np.bool_],
    width: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> slice:
    """Choose the columns of a sample: around where the visible joints are, give or take."""
    strip = augmentation.strip
    if strip is None or strip >= width:
        return slice(0, width)
    middle = points[..., 0][visible].mean() if visible.any() else rng.uniform(0, width)
    first = round(float(middle - strip / 2 + rng.normal(0, strip / 10)))
    first = min(max(first, 0), width - strip)
    return slice(first, first + strip)


@dataclass(frozen=True)
class Draw:
    """All that is drawn of a sample: which part of a recording it is, and how it is changed.

    Attributes:
        start: step at whose beginning the ANN runs.
        history: the recording's step that is seen in each step before it, int64 [steps]; -1: an
            empty one.
        pause_at, pause: what lies before the step ``pause_at`` is older by ``pause`` steps.
        oldest: what lies before this step is not known.
        columns: the first column, and how many.
        invert: whether polarities are exchanged.
        mirror: whether the sample is mirrored.
        shift: of the content, (x, y) in cells, after all else.
        points: float32 [T + 1, 13, 2] in cells of these columns, at ``start`` and after each step.
        visible: bool [T + 1, 13].
        feedback: float32 [13, 3], see :func:`draw_feedback`.
    """

    start: int
    history: NDArray[np.int64]
    pause_at: int
    pause: int
    oldest: int
    columns: tuple[int, int]
    invert: bool
    mirror: bool
    shift: tuple[int, int]
    points: NDArray[np.float32]
    visible: NDArray[np.bool_]
    feedback: NDArray[np.float32]


def draw_sample(
    labels: NDArray[np.float32],
    start: int,
    steps: int,
    config: ModelConfig,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Draw:
    """Draw how a sample is cut out of a recording: ``steps`` steps from ``start`` on.

    Args:
        labels: of the recording, [all its steps, 13, 3].
    """
    own = labels[start - 1 : start + steps].copy()
    points, visible = own[..., :2], own[..., 2] > 0
    feedback = draw_feedback(labels, start, augmentation.feedback, rng)
    columns = _strip(points, visible, config.view.grid_width, augmentation, rng)
    points[..., 0] -= columns.start
    feedback[:, 0] -= columns.start
    size = np.array((columns.stop - columns.start, config.view.grid_height), np.float32)
    visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    length = config.ann.history_steps
    history: NDArray[np.int64] = np.arange(start - length, start)
    pause_at = pause = 0
    if rng.random() < augmentation.pause:
        reach = np.log(min(3 * length, start))
        pause_at = start - int(np.exp(rng.uniform(0.0, reach)))
        pause = round(np.exp(rng.uniform(*np.log(_PAUSE_S))) * 1e9 / config.step_ns)
        resting = (history < pause_at) & (history + pause >= pause_at)
        history = np.where(history < pause_at, history + pause, history)
        history[resting] = -1
    oldest = NEVER
    if rng.random() < augmentation.forget:
        known = int(np.exp(rng.uniform(np.log(2), np.log(length))))
        history[:-known] = -1
        oldest = start - known
    invert = rng.random() < augmentation.invert
    mirror = rng.random() < augmentation.mirror
    if mirror:
        points, feedback, visible = points[:, _MIRROR], feedback[_MIRROR], visible[:, _MIRROR]
        points[..., 0] = size[0] - 1 - points[..., 0]
        feedback[:, 0] = size[0] - 1 - feedback[:, 0]
    reach_x, reach_y = augmentation.shift
    dx, dy = (int(rng.integers(-reach, reach + 1)) for reach in (reach_x, reach_y))
    if dx or dy:
        points = points + np.array((dx, dy), np.float32)
        feedback[:, :2] += (dx, dy)
        visible = visible & ((points > -0.5) & (points < size - 0.5)).all(-1)
    return Draw(
        start=start,
        history=np.maximum(history, -1),
        pause_at=pause_at,
        pause=pause,
        oldest=oldest,
        columns=(columns.start, columns.stop - columns.start),
        invert=invert,
        mirror=mirror,
        shift=(dx, dy),
        points=points,
        visible=visible,
        feedback=feedback,
    )


def draw_feedback(
    labels: NDArray[np.float32], start: int, share: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw where an earlier run of the ANN may have seen the joints, float32 [13, 3].

    It is the truth of some time before, damaged in the ways in which an answer is wrong: all or
    some joints beside their places, left and right exchanged, joints not found.

    Args:
        labels: of the recording, [steps, 13, 3].
        start: step before which the ANN runs.
        share: probability that there is an answer.
    """
    if rng.random() >= share:
        return np.zeros(labels.shape[1:], np.float32)
    ago = int(rng.integers(1, 21)) if rng.random() < 0.85 else int(rng.integers(21, 300))
    pose = labels[max(0, start - 1 - ago)].copy()
    joints = len(pose)
    pose[:, :2] += rng.normal(0, np.exp(rng.uniform(np.log(0.1), np.log(3.0))), (joints, 2))
    if rng.random() < 0.2:
        pose[:, :2] += rng.normal(0, 4.0, 2)
    if rng.random() < 0.1:
        pose = pose[_MIRROR]
    elif rng.random() < 0.1:  # arms or legs alone
        limbs = _ARMS if rng.random() < 0.5 else _LEGS
        pose[limbs] = pose[_MIRROR[limbs]]
    lost = rng.random(joints) < 0.05
    pose[lost, :2] += rng.normal(0, 12.0, (int(lost.sum()), 2))
    pose[:, 2] *= rng.uniform(0.3, 1.0, joints) * (rng.random(joints) > 0.1)
    return pose
