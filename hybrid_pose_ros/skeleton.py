# SPDX-License-Identifier: Apache-2.0
"""The 13-joint skeleton of the DHP19 data set: ids, names, limbs and left/right pairs.

The order is the one of the data set's own label files (Calabrese et al., CVPRW 2019).
"""

from typing import Final

JOINTS: Final = (
    "head",
    "right_shoulder",
    "left_shoulder",
    "right_elbow",
    "left_elbow",
    "right_hip",
    "left_hip",
    "right_hand",
    "left_hand",
    "right_knee",
    "left_knee",
    "right_foot",
    "left_foot",
)

NUM_JOINTS: Final = len(JOINTS)


def joint_id(name: str) -> int:
    """Return the index of the joint called ``name``; raises ``ValueError`` if there is none.

    Examples:
        >>> joint_id("right_hand")
        7
    """
    return JOINTS.index(name)


def _pairs(*names: tuple[str, str]) -> tuple[tuple[int, int], ...]:
    return tuple((joint_id(a), joint_id(b)) for a, b in names)


LIMBS: Final = _pairs(
    ("head", "right_shoulder"),
    ("head", "left_shoulder"),
    ("right_shoulder", "left_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_hand"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_hand"),
    ("right_shoulder", "right_hip"),
    ("left_shoulder", "left_hip"),
    ("right_hip", "left_hip"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_foot"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_foot"),
)
"""Joint index pairs that are drawn as bones."""


def _mirror_name(name: str) -> str:
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return "right_" + name.removeprefix("left_") if name.startswith("left_") else name


MIRROR: Final = tuple(joint_id(_mirror_name(name)) for name in JOINTS)
"""``MIRROR[i]`` is the joint that joint ``i`` becomes in a mirrored image."""

SIDE_PAIRS: Final = tuple((i, other) for i, other in enumerate(MIRROR) if i < other)
"""The joints that there are on both sides, (right, left)."""
