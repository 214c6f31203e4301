# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose evaluate-recording`: errors on a recording of one's own, and pictures."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one, writing
from hybrid_pose_ros.cli.figures import check_writable, write_figures
from hybrid_pose_ros.cli.labelled_part import add_arguments, read_part

_ROWS = {
    "mpjpe_px": ("error (MPJPE), px", 1),
    "mpjpe_offset_free_px": ("  without each joint's offset", 1),
    "mirrored": ("poses with left and right swapped", 2),
    "pck10": ("joints within 10 px", 2),
    "joints_shown": ("joints shown, of 13", 1),
    "joints_shown_outside": ("  of these outside the picture", 2),
}
"""Figure -> what the table calls it, and its digits."""


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "evaluate-recording",
        help="measure the poses of a recording of one's own, and draw them",
        description="Run the ANN every 50 ms, and the hybrid every 10 ms with the ANN every "
        "100 ms, over a recording. With labels, errors are printed in px of the 346x260 view; "
        "without, the number of joints shown. The first 0.6 s, or 40 % of a shorter recording, "
        "do not count.",
    )
    add_arguments(parser)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw poses there")
    parser.add_argument("--count", type=int, default=20, help="pictures (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Evaluate, print, write and draw."""
    from hybrid_pose_ros.research.evaluation.recording_pictures import draw_recording
    from hybrid_pose_ros.research.evaluation.recordings import evaluate_recording

    check_at_least_one("--count", options.count)
    check_writable(options.json)
    part = read_part("evaluate-recording", options)
    size = part.width, part.height
    report = evaluate_recording(part.events, *size, part.labels, part.checkpoint)
    if not report.hybrid.poses:
        raise CommandError(f"{options.recording}: too short a part, no pose in it counts")
    figures = report.to_dict() | {"recording": str(options.recording)}
    figures["model"] = part.checkpoint.digest
    _show(figures)
    if options.json is not None:
        write_figures(options.json, figures)
    if options.pictures is not None:
        poses = report.counted_poses
        with writing():
            draw_recording(part.events, size, poses, part.labels, options.pictures, options.count)
    return 0


def _show(figures: dict[str, Any]) -> None:
    table = Table("", "ANN", "hybrid")
    ann, hybrid = figures["ann"], figures["hybrid"]
    for key, (name, digits) in _ROWS.items():
        if key in ann:
            table.add_row(name, *(_text(part[key], digits) for part in (ann, hybrid)))
    joints = ann.get("joints_px", {})
    if joints:
        table.add_section()
    for joint in joints:
        values = (part["joints_px"][joint] for part in (ann, hybrid))
        table.add_row(joint.replace("_", " "), *(_text(value, 1) for value in values))
    Console().print(table)


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
