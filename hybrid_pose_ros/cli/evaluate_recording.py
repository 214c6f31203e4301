# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose evaluate-recording`: errors on a recording of one's own, and pictures."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one, warn
from hybrid_pose_ros.cli.figures import check_writable, write_figures

if TYPE_CHECKING:
    from hybrid_pose_ros.bags.opening import Recording
    from hybrid_pose_ros.events.array import EventArray
    from hybrid_pose_ros.events.labelled import PointLabels

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
    parser.add_argument(
        "recording",
        type=Path,
        help="any recording that convert reads, or an .npz of events, maybe with labels",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        help=".npz with labels (default: those in the recording, if it is an .npz)",
    )
    parser.add_argument(
        "--camera", type=int, default=0, help="which camera of several (default: 0)"
    )
    parser.add_argument("--checkpoint", type=Path, help="model (default: the shipped one)")
    parser.add_argument(
        "--from", dest="start", type=float, default=0.0, metavar="S", help="begin at this second"
    )
    parser.add_argument(
        "--to", dest="end", type=float, default=float("inf"), metavar="S", help="end at this one"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw poses there")
    parser.add_argument("--count", type=int, default=20, help="pictures (default: %(default)s)")


def run(options: argparse.Namespace) -> int:
    """Evaluate, print, write and draw."""
    import torch

    from hybrid_pose_ros.bags.opening import open_recording
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.research.evaluation.recording_pictures import draw_recording
    from hybrid_pose_ros.research.evaluation.recordings import evaluate_recording

    check_at_least_one("--count", options.count)
    check_writable(options.json)
    if not 0 <= options.start < options.end:
        raise CommandError(f"--from {options.start:g} must lie before --to {options.end:g}")
    torch.set_num_threads(1)  # as the nodes: sums in another order would differ in the end
    recording = open_recording(options.recording, camera=options.camera)
    labels = recording_labels(options)
    checkpoint = load_checkpoint(options.checkpoint)
    events = recording.read_all(options.start, options.end)
    warn_of_losses("evaluate-recording", recording, events)
    size = recording.width, recording.height
    report = evaluate_recording(events, *size, labels, checkpoint)
    if not report.hybrid.poses:
        raise CommandError(f"{options.recording}: too short a part, no pose in it counts")
    figures = report.to_dict() | {"recording": str(options.recording), "model": checkpoint.digest}
    _show(figures)
    if options.json is not None:
        write_figures(options.json, figures)
    if options.pictures is not None:
        poses = report.counted_poses
        try:
            draw_recording(events, size, poses, labels, options.pictures, options.count)
        except OSError as error:
            raise CommandError(
                f"{error.filename}: cannot be written ({error.strerror})"
            ) from error
    return 0


def recording_labels(options: argparse.Namespace) -> "PointLabels | None":
    """Return the labels of ``--labels``, or those in a recording that is an `.npz`; or None."""
    from hybrid_pose_ros.events.labelled import load_point_labels

    if options.labels is None:
        if options.recording.suffix.lower() == ".npz":
            return load_point_labels(options.recording)
        return None
    labels = load_point_labels(options.labels)
    if labels is None:
        raise CommandError(f"{options.labels}: no labels in it (gt_t_us and gt)")
    return labels


def warn_of_losses(command: str, recording: "Recording", events: "EventArray") -> None:
    """Say what of a recording was lost, and whether its times are those of no camera."""
    from hybrid_pose_ros.events.losses import describe_rate

    span_ns = int(events["t"][-1] - events["t"][0]) if len(events) else 0
    for trouble in (recording.trouble, describe_rate(len(events), span_ns)):
        if trouble:
            warn(command, f"{recording.name}: {trouble}")


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
