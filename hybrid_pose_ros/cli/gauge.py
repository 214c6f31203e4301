# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research gauge`: judge simulated recordings by a network trained on real ones."""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one, written_whole
from hybrid_pose_ros.cli.figures import counting_bar

if TYPE_CHECKING:
    from hybrid_pose_ros.geometry.cameras import Camera


def add_parser(subparsers: Any) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "gauge",
        help="judge simulated recordings by a network trained on real ones",
        description="Run a network that was trained on the real recordings of DHP19, as the CNN "
        "that its authors published, on simulated ones of the 33 movements, and print its 2D "
        "error: the nearer to that on the real ones (7.7 px), the more the simulated events look "
        "like them.",
    )
    parser.add_argument(
        "--network",
        "--cnn",
        type=Path,
        required=True,
        metavar="FILE",
        help="DHP_CNN.model, or another network of its layout: HDF5 of Keras, .pt or .safetensors",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        help="folder of DHP19's P1 to P4: its cameras "
        "(default: the network's folder where they lie there, else cameras like them)",
    )
    parser.add_argument(
        "--bodies",
        default="mixture",
        help="people, with commas: capsules, mesh, or the mixture of the training data "
        "(default: mixture)",
    )
    parser.add_argument(
        "--seeds",
        default="1,2,3",
        help="of the scenes, with commas (default: 1,2,3); markers were fitted on 0 and from 100 "
        "on, where the check proves nothing",
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each movement (default: 3)")
    parser.add_argument("--movement", action="append", help="one of them; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--json", type=Path, help="file for the figures")


def run(options: argparse.Namespace) -> int:
    """Simulate, run the network, print and write."""
    from hybrid_pose_ros.geometry.cameras import CameraError
    from hybrid_pose_ros.research.evaluation.dhp19_cnn import CnnError, load_dhp19_cnn
    from hybrid_pose_ros.research.evaluation.gauge import MIXTURES, gauge, take_of
    from hybrid_pose_ros.simulation.movements import SESSIONS

    known = [name for session in SESSIONS for name in session]
    movements = options.movement or known
    if unknown := set(movements) - set(known):
        raise CommandError(f"no movement is called {min(unknown)!r}; there are {', '.join(known)}")
    if options.seconds <= 0:
        raise CommandError(f"--seconds must be positive, not {options.seconds:g}")
    bodies = list(dict.fromkeys(options.bodies.split(",")))
    if strange := [name for name in bodies if name not in MIXTURES]:
        raise CommandError(f"--bodies are {', '.join(MIXTURES)}, not {strange[0]!r}")
    seeds = _seeds(options.seeds)
    check_at_least_one("--workers", options.workers)
    console = Console()
    # the mixture is made of performances of the others: none is simulated twice
    takes = dict.fromkeys(
        take_of(name, kind, seed) for seed in seeds for name in movements for kind in bodies
    )
    try:
        network = load_dhp19_cnn(options.network)
        cameras = _cameras(options)
        with (
            written_whole(options.json) if options.json is not None else nullcontext() as file,
            counting_bar(console) as bar,
        ):
            task = bar.add_task("performances", total=len(takes))
            errors = gauge(
                network,
                cameras,
                takes,
                seconds=options.seconds,
                workers=options.workers,
                done=lambda take: bar.advance(task),
            )
            figures = _figures(errors, bodies, movements, seeds)
            figures |= {
                "network": options.network.name,
                "cameras": [camera.name for camera in cameras.values()],
                "seconds": options.seconds,
            }
            if file is not None:
                file.write(json.dumps(figures, indent=2) + "\n")
    except (CnnError, CameraError, ValueError) as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{error.filename}: cannot be written ({error.strerror})") from error
    _show(figures, console)
    return 0


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(word) for word in dict.fromkeys(text.split(","))]
    except ValueError:
        seeds = []
    if not seeds or min(seeds) < 0:
        raise CommandError(f"--seeds are whole numbers from 0 on, with commas, not {text!r}")
    return seeds


def _cameras(options: argparse.Namespace) -> "dict[int, Camera]":
    from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_MATRICES, load_dhp19_cameras

    beside = options.network.parent
    if options.calibration is not None:
        return load_dhp19_cameras(options.calibration)
    if all((beside / f"{name}.npy").is_file() for name in DHP19_MATRICES.values()):
        return load_dhp19_cameras(beside)
    return dict(zip((2, 3, 0, 1), DHP19_LIKE, strict=True))


def _figures(
    errors: Any, bodies: list[str], movements: list[str], seeds: list[int]
) -> dict[str, Any]:
    """All figures; those on top are of the mixture, or of the first bodies."""
    from hybrid_pose_ros.research.evaluation.gauge import summarise_bodies
    from hybrid_pose_ros.research.evaluation.published import DHP19_CNN_PX

    parts = {kind: summarise_bodies(errors, kind, movements, seeds) for kind in bodies}
    top = "mixture" if "mixture" in parts else bodies[0]
    return parts[top] | {
        "bodies": top,
        "by_bodies": parts,
        "published_px": DHP19_CNN_PX,
        "seeds": seeds,
    }


def _show(figures: dict[str, Any], console: Console) -> None:
    from hybrid_pose_ros.research.evaluation.gauge import FIRST_MESH_SEED, FITTED_SEED

    parts, channels = figures["by_bodies"], list(figures["mpjpe_px"])
    heads = [f"{kind}, {channel}" for kind in parts for channel in channels]
    table = Table("movement", *heads, title="error of the network (MPJPE, px)")

    def add(name: str, key: str, factor: float = 1.0, movement: str = "") -> None:
        values = [
            (part[key][movement] if movement else part[key])[channel]
            for part in parts.values()
            for channel in channels
        ]
        table.add_row(name, *("-" if v is None else f"{factor * v:.1f}" for v in values))

    for movement in figures["mpjpe_px_per_movement"]:
        add(movement, "mpjpe_px_per_movement", movement=movement)
    table.add_section()
    add("all", "mpjpe_px")
    add("  from seed to seed, std", "mpjpe_px_spread")
    add("all, median", "median_px")
    add("beyond 20 px, %", "beyond_20px", 100.0)
    console.print(table)
    if any(seed == FITTED_SEED or seed >= FIRST_MESH_SEED for seed in figures["seeds"]):
        console.print(
            f"Markers were fitted on seed {FITTED_SEED} (capsules) and from {FIRST_MESH_SEED} on "
            "(mesh): figures of these seeds prove nothing."
        )
