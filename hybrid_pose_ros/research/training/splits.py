# SPDX-License-Identifier: Apache-2.0
"""What training may see and what is kept for the test."""

from typing import Final

TRAIN_SUBJECTS: Final = ("s01", "s02", "s05")
TEST_SUBJECTS: Final = ("s03", "s06")
"""Motion-capture subjects that are never trained on."""

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
