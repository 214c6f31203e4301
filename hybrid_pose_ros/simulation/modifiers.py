# SPDX-License-Identifier: Apache-2.0
"""Changes to any motion: it rests, goes on with one limb alone, comes, leaves or approaches.

Each takes a motion and returns another; bones keep their lengths and nothing jumps. The floor is
z = 0. Directions are yaws: radians counter-clockwise from +y, seen from above.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.arrays import F64
from hybrid_pose_ros.simulation.floor_contact import clearance
from hybrid_pose_ros.simulation.markers import body_axes
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movement_parts import stand, walk
from hybrid_pose_ros.simulation.skeleton_motion import JointAngles, Proportions, joints_of
from hybrid_pose_ros.skeleton import joint_id

RATE_HZ: Final = 100.0
LIMBS: Final = {
    "right_arm": ("right_shoulder", ("right_elbow", "right_hand")),
    "left_arm": ("left_shoulder", ("left_elbow", "left_hand")),
    "right_leg": ("right_hip", ("right_knee", "right_foot")),
    "left_leg": ("left_hip", ("left_knee", "left_foot")),
    "head": ("head", ("head",)),
}
"""Limbs that may move alone: the joint that they hang from, and those that move. A head hangs
from the middle of the shoulders."""

_EASE_S: Final = 0.3
"""Time in which a body comes to rest or starts again."""
_OVERLAP_S: Final = 0.5
"""Time in which one motion goes over into the next."""
_TURN_S: Final = 1.0


def _times(seconds: float) -> F64:
    count = max(2, int(np.floor(seconds * RATE_HZ + 1e-6)) + 1)
    return np.arange(count, dtype=np.float64) / RATE_HZ


def _eased(times: F64, at_s: float) -> F64:
    """Integral over time of a weight that rises smoothly from 0 before ``at_s`` to 1 after it."""
    u = np.clip((times - at_s) / _EASE_S + 0.5, 0.0, 1.0)
    inside = _EASE_S * (u**3 - 0.5 * u**4)
    return np.asarray(inside + np.maximum(times - at_s - _EASE_S / 2, 0.0))


def hold(motion: Motion, at_s: float, seconds: float) -> Motion:
    """Rest at a moment for a while, then go on; time itself slows down and speeds up.

    A rest that begins after the end prolongs the last pose.
    """
    times = _times(motion.duration_s + seconds)
    own = times - _eased(times, at_s) + _eased(times, at_s + seconds)
    return Motion(times, motion.at(own), motion.name)


def only_limbs(motion: Motion, limbs: Iterable[str], from_s: float) -> Motion:
    """Freeze the body from a moment on, all but limbs that go on as they moved against it.

    Args:
        limbs: some of :data:`LIMBS`.
    """
    times = _times(motion.duration_s)
    frozen = np.minimum(times - _eased(times, from_s), from_s)
    moving, resting = motion.at(times), motion.at(frozen)
    turn = np.einsum(
        "fai,faj->fij", np.stack(body_axes(resting), 1), np.stack(body_axes(moving), 1)
    )
    for root, joints in (LIMBS[limb] for limb in limbs):
        base, carrier = _root(moving, root), _root(resting, root)
        for name in joints:
            own = joint_id(name)
            resting[:, own] = carrier + np.einsum("fij,fj->fi", turn, moving[:, own] - base)
    return Motion(times, resting, motion.name)


def _root(joints: F64, name: str) -> F64:
    if name != "head":
        return joints[:, joint_id(name)]
    return 0.5 * (joints[:, joint_id("right_shoulder")] + joints[:, joint_id("left_shoulder")])


def approach(motion: Motion, yaw: float, metres: float) -> Motion:
    """Move smoothly by a distance in a direction while the motion lasts."""
    share = motion.times_s / motion.duration_s
    way = metres * share**2 * (3 - 2 * share)
    joints = motion.joints_m.copy()
    joints[..., :2] += (way[:, None] * _ahead(yaw))[:, None]
    return Motion(motion.times_s, joints, motion.name)


def walk_in(motion: Motion, rng: np.random.Generator, yaw: float, distance_m: float) -> Motion:
    """Come walking from a place in the direction ``yaw``, turn as the motion begins, and do it.

    The motion begins where it did, later by the time of the way.
    """
    gait = _gait(
        motion, rng, yaw + np.pi, heading_of(motion.joints_m[:1]), distance_m, leave=False
    )
    middle = _OVERLAP_S / 2
    meet = motion.at(np.array([middle]))
    return join(_moved(gait, gait.at(np.array([gait.duration_s - middle])), meet), motion)


def walk_out(motion: Motion, rng: np.random.Generator, yaw: float, distance_m: float) -> Motion:
    """Turn after the motion and walk away in the direction ``yaw``."""
    gait = _gait(motion, rng, yaw, heading_of(motion.joints_m[-1:]), distance_m, leave=True)
    middle = _OVERLAP_S / 2
    meet = motion.at(np.array([motion.duration_s - middle]))
    return join(motion, _moved(gait, gait.at(np.array([middle])), meet))


def heading_of(joints_m: NDArray[np.floating]) -> float:
    """Yaw that joints [F, 13, 3] face on average, by their hips."""
    right = (joints_m[:, joint_id("right_hip")] - joints_m[:, joint_id("left_hip")]).mean(0)
    return float(np.arctan2(right[1], right[0]))


def _ahead(yaw: float) -> F64:
    return np.array((-np.sin(yaw), np.cos(yaw)))


def _gait(
    motion: Motion,
    rng: np.random.Generator,
    yaw: float,
    other_yaw: float,
    distance_m: float,
    *,
    leave: bool,
) -> Motion:
    """Walk a distance towards ``yaw`` at the size of a motion's person.

    It starts (to leave) or ends (to come) at rest, facing ``other_yaw``.
    """
    times = _times(distance_m / 0.5 + 2 * _TURN_S)
    to_rest = times if leave else times[-1] - times
    share = np.clip((to_rest - 0.2) / _TURN_S, 0.0, 1.0)
    share = share**2 * (3 - 2 * share)
    pose = JointAngles(times)
    stand(pose, rng)
    pose.planted, pose.balance = True, 0.0
    walk(pose, rng, rng.random() + rng.uniform(0.75, 1.0) * times, share)
    turn = (yaw - other_yaw + np.pi) % (2 * np.pi) - np.pi
    pose.yaw += other_yaw + turn * share
    joints = joints_of(pose, Proportions.of(motion.joints_m), 0.0)
    hips = joints[:, [joint_id("right_hip"), joint_id("left_hip")], :2].mean(1)
    far = np.linalg.norm(hips - hips[0 if leave else -1], axis=-1) >= distance_m
    if far.any() and leave:
        joints = joints[: int(np.argmax(far)) + 1]
    elif far.any():
        joints = joints[len(far) - 1 - int(np.argmax(far[::-1])) :]
    return Motion(np.arange(len(joints)) / RATE_HZ, joints, motion.name)


def _moved(motion: Motion, place: F64, to: F64) -> Motion:
    """Move a motion over the floor so that the hips of ``place`` [1, 13, 3] come to ``to``'s."""
    hips = [joint_id("right_hip"), joint_id("left_hip")]
    shift = (to[0, hips, :2] - place[0, hips, :2]).mean(0)
    return Motion(motion.times_s, motion.joints_m + np.append(shift, 0.0), motion.name)


_BONES: Final = tuple(
    (joint_id(start), joint_id(end))
    for side in ("right", "left")
    for start, end in (
        (f"{side}_shoulder", f"{side}_elbow"),
        (f"{side}_elbow", f"{side}_hand"),
        (f"{side}_hip", f"{side}_knee"),
        (f"{side}_knee", f"{side}_foot"),
    )
)
"""Bones of arms and legs, those nearer to the trunk first."""
_WIDTHS: Final = tuple(
    (joint_id(f"left_{name}"), joint_id(f"right_{name}")) for name in ("hip", "shoulder")
)


def join(first: Motion, second: Motion) -> Motion:
    """Perform one motion after the other; the end of the first goes over into the second."""
    overlap = min(_OVERLAP_S, 0.9 * first.duration_s, 0.9 * second.duration_s)
    begin = first.duration_s - overlap
    times = _times(begin + second.duration_s)
    weight = np.clip((times - begin) / overlap, 0.0, 1.0)
    weight = weight**3 * (10 - 15 * weight + 6 * weight**2)
    ends = first.at(times), second.at(times - begin)
    joints = between(*ends, weight)
    heights = [clearance(pose).min(1) for pose in ends]
    height = heights[0] + weight * (heights[1] - heights[0])
    joints[..., 2] += (height - clearance(joints).min(1))[:, None]
    return Motion(times, joints, second.name)


def between(first: F64, second: F64, weight: F64) -> F64:
    """Poses between two, [F, 13, 3], by a weight of the second [F]; each bone turns."""
    joints = np.empty_like(first)
    middles = []
    for left, right in _WIDTHS:
        middles.append([0.5 * (pose[:, left] + pose[:, right]) for pose in (first, second)])
    (hips, other_hips), (breast, other_breast) = middles
    pelvis = hips + weight[:, None] * (other_hips - hips)
    spine = _turned(breast - hips, other_breast - other_hips, weight)
    head = joint_id("head")
    joints[:, head] = (
        pelvis + spine + _turned(first[:, head] - breast, second[:, head] - other_breast, weight)
    )
    for middle, (left, right) in zip((pelvis, pelvis + spine), _WIDTHS, strict=True):
        half = 0.5 * _turned(
            first[:, right] - first[:, left], second[:, right] - second[:, left], weight
        )
        joints[:, right], joints[:, left] = middle + half, middle - half
    for start, end in _BONES:
        bone = _turned(first[:, end] - first[:, start], second[:, end] - second[:, start], weight)
        joints[:, end] = joints[:, start] + bone
    return joints


def _turned(first: F64, second: F64, weight: F64) -> F64:
    """Vectors [F, 3] turned from the first to the second by a weight [F], lengths in between."""
    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (first, second)]
    a, b = (v / np.maximum(n, 1e-9) for v, n in zip((first, second), lengths, strict=True))
    share = weight[:, None]
    angle = np.arccos(np.clip(np.sum(a * b, -1, keepdims=True), -1.0, 1.0))
    sine = np.maximum(np.sin(angle), 1e-6)
    mixed = np.sin((1 - share) * angle) / sine * a + np.sin(share * angle) / sine * b
    mixed = np.where(angle < 1e-4, a, mixed)
    mixed /= np.maximum(np.linalg.norm(mixed, axis=-1, keepdims=True), 1e-9)
    return np.asarray(mixed * (lengths[0] + share * (lengths[1] - lengths[0])))
