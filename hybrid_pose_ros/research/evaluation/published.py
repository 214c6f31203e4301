# SPDX-License-Identifier: Apache-2.0
"""The paper's conditions and figures, the latter by the names that the models have here.

Aydin, Gehrig, Gehrig, Scaramuzza: "A Hybrid ANN-SNN Architecture for Low-Power and Low-Latency
Visual Perception", CVPRW 2024.
"""

from typing import Final

WINDOW_NS: Final = 100_000_000
"""Time between two runs of the ANN."""

FRONT_CHANNELS: Final = (2, 3)
"""Channels of DHP19's front cameras, from which errors are published, in space from both."""

DHP19_CNN_PX: Final = 7.7
"""2D error of the CNN of DHP19's authors, on real recordings."""

PUBLISHED_PX: Final = {
    "ann": 5.03,
    "ann_held": 5.84,
    "snn": 21.4,
    "hybrid": 5.19,
    "hybrid_no_init": 5.85,
    "hybrid_no_delta": 5.47,
    "hybrid_200hz": 5.17,
}
"""2D errors of the paper, on real recordings of DHP19, camera view 3."""

PUBLISHED_PER_STEP_PX: Final = {
    "ann_held": (5.08, 5.19, 5.33, 5.51, 5.70, 5.90, 6.10, 6.31, 6.52, 6.73),
    "hybrid": (5.16, 5.19, 5.26, 5.28, 5.23, 5.19, 5.15, 5.14, 5.13, 5.17),
    "hybrid_no_init": (5.10, 5.31, 5.37, 5.48, 5.57, 5.66, 5.88, 6.22, 6.69, 7.20),
}
"""The same after 10, 20, ... 100 ms of a window."""

PUBLISHED_3D_MM: Final = 57.8
"""3D error of its hybrid, from two views."""

PUBLISHED_POWER_W: Final = {"ann": 3.72, "hybrid": 0.424}
"""Power at 100 Hz by its energy proxy."""
