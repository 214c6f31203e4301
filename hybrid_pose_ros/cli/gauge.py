# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose gauge`: judge simulated recordings by a network trained on real ones."""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "gauge",
        help="judge simulated recordings by DHP19's published CNN",
        description="Run the CNN that DHP19's authors trained on the real recordings on simulated "
        "ones of the 33 movements, and print its 2D error: the nearer to that on the real ones "
        "(7.7 px), the more the simulated events look like them.",
    )
    parser.add_argument("--cnn", type=Path, required=True, help="the file DHP_CNN.model")
    parser.add_argument(
        "--calibration",
        type=Path,
        help="folder of DHP19's P1 to P4: its cameras "
        "(default: the CNN's folder where they lie there, else cameras like them)",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each movement (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    parser.add_argument("--movement", action="append", help="one of them; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--json", type=Path, help="file for the figures")


def run(options: argparse.Namespace) -> int:
    """Simulate, run the CNN, print and write."""
    from hybrid_pose_ros.geometry.cameras import (
        DHP19_LIKE,
        DHP19_MATRICES,
        CameraError,
        load_dhp19_cameras,
    )
    from hybrid_pose_ros.research.evaluation.dhp19_cnn import CnnError, load_dhp19_cnn
    from hybrid_pose_ros.research.evaluation.gauge import gauge
    from hybrid_pose_ros.simulation.movements import SESSIONS

    known = [name for session in SESSIONS for name in session]
    movements = options.movement or known
    if unknown := set(movements) - set(known):
        raise CommandError(f"no movement is called {min(unknown)!r}; there are {', '.join(known)}")
    if options.seconds <= 0:
        raise CommandError(f"--seconds must be positive, not {options.seconds:g}")
    check_at_least_one("--workers", options.workers)
    console = Console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    try:
        cnn = load_dhp19_cnn(options.cnn)
        beside = options.cnn.parent
        if options.calibration is not None:
            cameras = load_dhp19_cameras(options.calibration)
        elif all((beside / f"{name}.npy").is_file() for name in DHP19_MATRICES.values()):
            cameras = load_dhp19_cameras(beside)
        else:
            cameras = dict(zip((2, 3, 0, 1), DHP19_LIKE, strict=True))
        with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task("movements", total=len(movements))
            errors = gauge(
                cnn,
                cameras,
                movements,
                seconds=options.seconds,
                seed=options.seed,
                workers=options.workers,
                done=lambda movement: bar.advance(task),
            )
    except (CnnError, CameraError, ValueError) as error:
        raise CommandError(str(error)) from error
    figures = _figures(errors, cameras, options)
    _show(figures, console)
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
        except OSError as error:
            raise CommandError(f"{options.json}: cannot be written ({error.strerror})") from error
    return 0


def _figures(errors: Any, cameras: Any, options: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from hybrid_pose_ros.research.evaluation.dhp19_cnn import PUBLISHED_PX
    from hybrid_pose_ros.research.evaluation.gauge import CHANNELS

    def summary(statistic: Any, movements: Any) -> dict[str, float]:
        return {
            f"ch{channel}": round(
                float(statistic(np.concatenate([errors[name][channel] for name in movements]))), 2
            )
            for channel in CHANNELS
        }

    return {
        "mpjpe_px": summary(np.mean, errors),
        "median_px": summary(np.median, errors),
        "published_px": PUBLISHED_PX,
        "mpjpe_px_per_movement": {name: summary(np.mean, [name]) for name in errors},
        "cameras": [camera.name for camera in cameras.values()],
        "seconds": options.seconds,
        "seed": options.seed,
    }


def _show(figures: dict[str, Any], console: Console) -> None:
    channels = list(figures["mpjpe_px"])
    table = Table("movement", *channels, title="error of DHP19's CNN (MPJPE, px)")
    rows = {
        **figures["mpjpe_px_per_movement"],
        "all": figures["mpjpe_px"],
        "all, median": figures["median_px"],
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{values[channel]:.1f}" for channel in channels))
    console.print(table)
