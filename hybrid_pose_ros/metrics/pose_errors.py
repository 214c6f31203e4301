# SPDX-License-Identifier: Apache-2.0
"""Pose errors.

Pure functions of estimates [..., 13, D], of the truth in the same shape and unit, and of
``visible`` [..., 13], which is False where a joint does not count.
"""

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.skeleton import MIRROR


def joint_errors(
    estimate: NDArray[np.floating], truth: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the distance of each joint from its true place, [..., 13].

    Example:
        >>> truth = np.zeros((4, 13, 2))
        >>> distances = joint_errors(truth + (3.0, 4.0), truth)
        >>> distances.shape, float(distances[0, 0])
        ((4, 13), 5.0)
    """
    difference = np.asarray(estimate, np.float64) - truth
    return np.asarray(np.linalg.norm(difference, axis=-1), np.float64)


def mpjpe(
    estimate: NDArray[np.floating], truth: NDArray[np.floating], visible: NDArray[np.bool_]
) -> float:
    """Return the mean per joint position error: the mean distance over all visible joints.

    The unit is that of the input; NaN if no joint is visible.

    Example:
        >>> truth, visible = np.zeros((4, 13, 2)), np.ones((4, 13), bool)
        >>> mpjpe(truth + (3.0, 4.0), truth, visible)
        5.0
    """
    return _mean(joint_errors(estimate, truth)[visible])


def without_offset(
    estimate: NDArray[np.floating], truth: NDArray[np.floating], visible: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Take each joint's constant offset off the estimates of one recording.

    The offset is the median of the joint's error vector over the poses in which it is visible.
    What is left of the error does not depend on where on a shoulder the labels' shoulder lies.

    Args:
        estimate, truth: [N, 13, D].
        visible: [N, 13].

    Returns:
        estimates [N, 13, D]; those of a joint that is never visible are unchanged.

    Example:
        >>> truth, visible = np.zeros((4, 13, 2)), np.ones((4, 13), bool)
        >>> moved = without_offset(truth + (3.0, 4.0), truth, visible)
        >>> moved.shape, mpjpe(moved, truth, visible)
        ((4, 13, 2), 0.0)
    """
    moved = np.array(estimate, np.float64)
    for joint in range(moved.shape[1]):
        seen = visible[:, joint]
        if seen.any():
            moved[:, joint] -= np.median(moved[seen, joint] - truth[seen, joint], axis=0)
    return moved


def mirrored(
    estimate: NDArray[np.floating], truth: NDArray[np.floating], visible: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which poses fit the truth better with left and right exchanged.

    Compared are the mean errors over the joints that are visible on both sides; a pose that has
    none of these is not mirrored.

    Args:
        estimate, truth: [N, 13, D].
        visible: [N, 13].

    Returns:
        bool [N].

    Example:
        >>> truth = np.random.default_rng(0).uniform(0, 200, (1, 13, 2))
        >>> mirrored(truth[:, list(MIRROR)], truth, np.ones((1, 13), bool)).tolist()
        [True]
    """
    exchange = list(MIRROR)
    both = visible & visible[:, exchange]
    as_is = (joint_errors(estimate, truth) * both).sum(-1)
    exchanged = (joint_errors(estimate[:, exchange], truth) * both).sum(-1)
    return np.asarray(exchanged < as_is)


def pck(
    estimate: NDArray[np.floating],
    truth: NDArray[np.floating],
    visible: NDArray[np.bool_],
    threshold: float,
) -> float:
    """Return the share of visible joints within ``threshold`` of their true place (NaN: none).

    Example:
        >>> truth = np.zeros((1, 13, 2))
        >>> pck(truth + (3.0, 4.0), truth, np.ones((1, 13), bool), 10.0)
        1.0
    """
    return _mean(joint_errors(estimate, truth)[visible] <= threshold)


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if values.size else float("nan")
