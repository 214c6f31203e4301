# SPDX-License-Identifier: Apache-2.0
"""Subjects and movements of training, and those that are kept for the test."""

from typing import Final

from hybrid_pose_ros.simulation.motion_sampler import Repertoire

TEST_SUBJECTS: Final = (
    "cmu_s03",
    "cmu_s06",
    "cmu_s29",
    "cmu_s49",
    "cmu_s94",
    "idle_s003",
    "idle_s007",
    "idle_s010",
    "ui_s04",
    "ui_s08",
)
"""Motion-capture subjects that are never trained on; all others are."""

HELD_OUT_MOVEMENTS: Final = (
    "jump_forwards",
    "punch_up_right",
    "punch_up_left",
    "figure_8_right",
    "figure_8_left",
)
"""Movements that are never trained on."""

SPLITS: Final = {"train": 0, "validation": 1, "test": 2}
"""Parts of the data and what distinguishes their seeds; nothing is chosen on the last."""

REPERTOIRES: Final = {
    split: Repertoire(TEST_SUBJECTS, HELD_OUT_MOVEMENTS, test=split == "test") for split in SPLITS
}
"""The motions that each part of the data may show."""
