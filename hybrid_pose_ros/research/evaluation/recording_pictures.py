# SPDX-License-Identifier: Apache-2.0
"""Pictures of a recording's poses over its events, to be looked at before figures are believed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from hybrid_pose_ros.drawing import (
    TRUTH_STYLE,
    EventCanvas,
    Image,
    SkeletonStyle,
    draw_caption,
    draw_skeleton,
    scale_for,
)
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.labelled import PointLabels
from hybrid_pose_ros.metrics.pose_errors import mpjpe
from hybrid_pose_ros.metrics.pose_score import LABEL_CONFIDENCE, SHOWN_CONFIDENCE
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import NUM_JOINTS

FADE_MS: Final = 40.0
"""A picture shows the events of so long a time before it."""

FAINT_STYLE: Final = SkeletonStyle(outline=None, limb_px=0.7, joint_px=1.5)
"""Of the joints that are not shown."""

_FAINT: Final = 0.35
_SHEET_COLUMNS: Final = 5
_SHEET_WIDTH: Final = 1800


def draw_recording(
    events: EventArray,
    size: tuple[int, int],
    poses: Sequence[Pose],
    labels: PointLabels | None,
    folder: Path,
    count: int = 20,
) -> list[Path]:
    """Write evenly spaced pictures and a sheet of them all; return the files.

    Joints with a confidence of at least 0.2 are drawn, the others faintly; the truth is thin and
    pale, on top. Errors in the captions are in sensor pixels, and of all joints that have a label.

    Args:
        size: width and height of the sensor in pixels.
        poses: in order of time.
        folder: is made where it does not exist.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not poses:
        return []
    chosen = np.unique(np.linspace(0, len(poses) - 1, min(count, len(poses))).round().astype(int))
    canvas = EventCanvas(*size, fade_ms=FADE_MS, scale=scale_for(*size))
    pictures, files = [], []
    for number, pose in enumerate(poses[index] for index in chosen):
        end = int(np.searchsorted(events["t"], pose.sensor_time_ns))
        since_ns = pose.sensor_time_ns - round(FADE_MS * 1e6)
        canvas.add(events[int(np.searchsorted(events["t"], since_ns)) : end])
        pictures.append(_draw(canvas, pose, labels))
        files.append(folder / f"{number:02d}_{pose.sensor_time_ns * 1e-9:.2f}s.png")
        PillowImage.fromarray(pictures[-1]).save(files[-1])
    files.append(folder / "sheet.png")
    PillowImage.fromarray(contact_sheet(pictures)).save(files[-1])
    return files


def contact_sheet(pictures: Sequence[Image]) -> Image:
    """Put pictures of one size side by side, row by row, and make the sheet 1800 px wide."""
    columns = min(_SHEET_COLUMNS, len(pictures))
    width = _SHEET_WIDTH // columns
    height = round(width * pictures[0].shape[0] / pictures[0].shape[1])
    small = [
        np.asarray(PillowImage.fromarray(picture).resize((width, height)), np.uint8)
        for picture in pictures
    ]
    small += [np.zeros_like(small[0])] * (-len(small) % columns)
    rows = [np.hstack(small[i : i + columns]) for i in range(0, len(small), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def _draw(canvas: EventCanvas, pose: Pose, labels: PointLabels | None) -> Image:
    image = canvas.render(pose.sensor_time_ns)
    scale = canvas.scale
    faint = image.copy()
    draw_skeleton(faint, pose.keypoints, np.ones(NUM_JOINTS), scale=scale, style=FAINT_STYLE)
    image = (image + _FAINT * (faint.astype(np.float32) - image)).astype(np.uint8)
    shown = int((pose.confidence >= SHOWN_CONFIDENCE).sum())
    words = [
        f"{pose.sensor_time_ns * 1e-9:.2f} s",
        f"{shown} of {NUM_JOINTS} joints",
        f"confidence {pose.confidence.mean():.2f}",
    ]
    draw_skeleton(image, pose.keypoints, pose.confidence, scale=scale)
    if labels is not None:
        points, confidence = (part[0] for part in labels.at(np.array([pose.sensor_time_ns])))
        known = confidence >= LABEL_CONFIDENCE
        draw_skeleton(image, points, known.astype(float), scale=scale, style=TRUTH_STYLE)
        if known.any():
            words.append(f"error {mpjpe(pose.keypoints, points, known):.1f} px")
    draw_caption(image, "   ".join(words))
    return image
