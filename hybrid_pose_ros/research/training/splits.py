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

TRAIN_SUBJECTS: Final = (
    "cmu_s01", "cmu_s02", "cmu_s05", "cmu_s07", "cmu_s08", "cmu_s09", "cmu_s10", "cmu_s11",
    "cmu_s12", "cmu_s127", "cmu_s13", "cmu_s131", "cmu_s135", "cmu_s14", "cmu_s16",
    "cmu_s17", "cmu_s26", "cmu_s27", "cmu_s32", "cmu_s35", "cmu_s60", "cmu_s61", "cmu_s85",
    "cmu_s86", "cmu_s91", "cmu_sU", "idle_s000", "idle_s001", "idle_s002", "idle_s004",
    "idle_s008", "idle_s009", "idle_s011", "idle_s012", "idle_s013", "idle_s014",
    "idle_s015", "ui_s01", "ui_s02", "ui_s03", "ui_s05", "ui_s06", "ui_s07", "ui_s09",
    "ui_s10",
)  # fmt: skip

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
