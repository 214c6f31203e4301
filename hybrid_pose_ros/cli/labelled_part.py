# SPDX-License-Identifier: Apache-2.0
"""Part of a recording of one's own, with its labels and the model to run on it, as options."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_pose_ros.cli import CommandError, warn

if TYPE_CHECKING:
    from hybrid_pose_ros.bags.opening import Recording
    from hybrid_pose_ros.events.array import EventArray
    from hybrid_pose_ros.events.labelled import PointLabels
    from hybrid_pose_ros.networks.checkpoint import Checkpoint

_NAMED = 5
"""Moments that a warning names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recording, and the options that choose from it."""
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


@dataclass(frozen=True)
class LabelledPart:
    """Events of a sensor of this size, their labels if there are any, and the model."""

    events: "EventArray"
    width: int
    height: int
    labels: "PointLabels | None"
    checkpoint: "Checkpoint"


def read_part(command: str, options: argparse.Namespace) -> LabelledPart:
    """Return what the options of a command name; torch takes one thread from here on.

    Raises:
        CommandError: the part is none, or there are no labels where they should be.
    """
    import torch

    from hybrid_pose_ros.bags.opening import open_recording
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint

    if not 0 <= options.start < options.end:
        raise CommandError(f"--from {options.start:g} must lie before --to {options.end:g}")
    torch.set_num_threads(1)  # as the nodes: sums in another order would differ in the end
    recording = open_recording(options.recording, camera=options.camera)
    labels = _labels(options)
    _warn_of_labels(command, labels)
    checkpoint = load_checkpoint(options.checkpoint)
    events = recording.read_all(options.start, options.end)
    _warn_of_losses(command, recording, events)
    return LabelledPart(events, recording.width, recording.height, labels, checkpoint)


def _labels(options: argparse.Namespace) -> "PointLabels | None":
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


def _warn_of_labels(command: str, labels: "PointLabels | None") -> None:
    """Say where the labels take left for right."""
    exchanges = [] if labels is None else labels.side_exchanges().tolist()
    if exchanges:
        times = ", ".join(f"{t_ns * 1e-9:.3f} s" for t_ns in exchanges[:_NAMED])
        more = f" and {len(exchanges) - _NAMED} more times" if len(exchanges) > _NAMED else ""
        warn(
            command,
            f"left and right of the labels change places at {times}{more}: on one side of such a "
            "moment they are wrong, and the errors with them",
        )


def _warn_of_losses(command: str, recording: "Recording", events: "EventArray") -> None:
    """Say what of a recording was lost, and whether its times are those of no camera."""
    from hybrid_pose_ros.events.losses import describe_rate

    span_ns = int(events["t"][-1] - events["t"][0]) if len(events) else 0
    for trouble in (recording.trouble, describe_rate(len(events), span_ns)):
        if trouble:
            warn(command, f"{recording.name}: {trouble}")
