# SPDX-License-Identifier: Apache-2.0
"""Runs of the whole system on the page of results: a picture and figures of each."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.research.markdown import number, table


class DemoError(UserError):
    """A folder holds no run; the message names it."""


@dataclass(frozen=True)
class Demo:
    """Results of `hybrid-pose demo` in its folder.

    Attributes:
        name: of the folder.
        summary: its figures.
        picture: the picture's address on the page.
    """

    name: str
    summary: Mapping[str, Any]
    picture: str


def take_demo(folder: Path, page: Path) -> Demo:
    """Read a run and copy its picture to the folder ``images`` beside the page.

    Raises:
        DemoError: the folder holds no figures or no picture.
    """
    address = f"images/demo_{folder.name}.png"
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
        (page.parent / "images").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "overlay.png", page.parent / address)
    except (OSError, ValueError) as error:
        raise DemoError(
            f"{folder}: holds no run of `hybrid-pose demo --out` ({error}); make one"
        ) from error
    return Demo(folder.name, summary, address)


def demo_section(demos: Sequence[Demo]) -> str:
    """Return the section about runs of the real nodes."""
    rows = [
        [
            demo.name,
            f"{demo.summary['packets_received']} / {demo.summary['packets_published']}",
            number(demo.summary["pose_rate_per_sensor_second_hz"], 1, 1),
            number(demo.summary["latency_ms"]["p50"], 1, 1),
            number(demo.summary["latency_ms"]["p99"], 1, 1),
            number(demo.summary["mpjpe_px"], 1, 2),
            number(demo.summary["mpjpe_ann_held_px"], 1, 2),
            number(demo.summary["joints_confident_mean"], 1, 2),
        ]
        for demo in demos
    ]
    heads = [
        "run",
        "packets",
        "poses/s",
        "latency p50 (ms)",
        "p99 (ms)",
        "error (px)",
        "ANN held (px)",
        "joints shown",
    ]
    pictures = [f"![The skeleton over the events of {d.name}]({d.picture})" for d in demos]
    text = (
        "The nodes in processes of their own, one run each (`hybrid-pose demo --out NAME`). "
        "Errors are known where the events are simulated; joints of too little confidence are "
        "not shown."
    )
    return "\n\n".join(["## The running system", text, table(heads, rows), *pictures])
