# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research train render`, `import` and `score`: the data of training and tests."""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hybrid_pose_ros.cli import CommandError, check_at_least_one
from hybrid_pose_ros.cli.figures import write_figures

if TYPE_CHECKING:
    from hybrid_pose_ros.research.training.importing import LabelledRecording
    from hybrid_pose_ros.research.training.shards import Shard

_SPLITS = ("train", "validation", "test")

_ROWS = ("mean_pose", "snn_from_rest", "ann_held", "hybrid")
"""Models whose errors per step are shown."""


def add_parsers(commands: Any) -> None:
    """Add the subcommands."""
    render = commands.add_parser("render", help="simulate recordings and bin them for training")
    render.add_argument("--data", type=Path, required=True, help="folder for the training data")
    render.add_argument("--minutes", type=float, default=40.0, help="length in all (minutes)")
    render.add_argument("--seed", type=int, default=0, help="the data is a function of it")
    render.add_argument("--workers", type=int, default=2, help="processes")
    render.add_argument("--mocap", type=Path, help="motion capture (.npz) mixed with the motions")
    render.add_argument("--calibration", type=Path, help="folder with the DHP19 matrices P1..P4")
    _add_part(render, "of the recordings")

    kinds = commands.add_parser(
        "import", help="bin labelled recordings for training, beside the rendered ones"
    ).add_subparsers(dest="kind", required=True, metavar="KIND")
    dhp19 = kinds.add_parser("dhp19", help="original recordings of DHP19")
    dhp19.add_argument(
        "recording",
        type=Path,
        help="the data set's folder, with DVS_movies and Vicon_data; or one .aedat file",
    )
    dhp19.add_argument("--labels", type=Path, help="labels of the one file (.mat)")
    dhp19.add_argument(
        "--calibration", type=Path, required=True, help="folder with the matrices P1..P4"
    )
    dhp19.add_argument(
        "--cameras", type=int, nargs="+", default=[2, 3], choices=range(4), help="channels"
    )
    dhp19.add_argument(
        "--validation",
        type=int,
        nargs="*",
        default=[],
        metavar="SUBJECT",
        help="subjects, 1 to 12, whose recordings are for validation; 13 to 17 are for the test",
    )
    _add_part(dhp19, "of the recordings")
    bag = kinds.add_parser("bag", help="a bag with ground truth and calibrated cameras")
    bag.add_argument("recording", type=Path, help="folder of the bag, or a file of one")
    bag.add_argument("--cameras", default="", help="namespaces, with commas (default: all)")
    other = kinds.add_parser("recording", help="a recording with 2D labels")
    other.add_argument("recording", type=Path, help="what evaluate-recording takes")
    other.add_argument("--labels", type=Path, help="labels (.npz), if not in the recording")
    other.add_argument("--camera", type=int, default=0, help="number of the camera")
    for parser in (dhp19, bag, other):
        parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
        parser.add_argument(
            "--split",
            choices=_SPLITS,
            required=parser is not dhp19,
            help="part of the data it is for" + (" (default: by subject)" * (parser is dhp19)),
        )

    score = commands.add_parser("score", help="test a model on windows of 100 ms, as the paper")
    score.add_argument("--data", type=Path, required=True, help="folder of the training data")
    score.add_argument("--split", choices=_SPLITS, default="test", help="part of the data")
    score.add_argument("--checkpoint", type=Path, help="default: the shipped weights")
    score.add_argument("--all", action="store_true", help="rendered recordings, too")
    score.add_argument("--device", default="cpu", help="torch device, such as cpu or cuda")
    score.add_argument("--threads", type=int, default=2, help="CPU threads")
    score.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")


def _add_part(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--part", default="1/1", metavar="I/N", help=f"the I-th of N equal parts {what}"
    )


def make_progress() -> Progress:
    """Return the bar of a training or of the making of its data."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"))


def _part(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise CommandError(f"--part {text}: not I/N with I from 1 to N, such as 2/4")
    return int(number), int(count)


def render(args: argparse.Namespace) -> int:
    """Simulate recordings."""
    from hybrid_pose_ros.research.training.rendering import RenderPlan, render_shards

    check_at_least_one("--workers", args.workers)
    if not args.minutes > 0:
        raise CommandError(f"--minutes must be more than 0, not {args.minutes:g}")
    plan = RenderPlan(
        seconds=args.minutes * 60,
        seed=args.seed,
        mocap=args.mocap,
        calibration=args.calibration,
    )
    part = _part(args.part)
    with make_progress() as progress:
        task = progress.add_task("rendering", total=None, note="")

        def done(finished: int, total: int) -> None:
            progress.update(task, completed=finished, total=total)

        render_shards(args.data, plan, workers=args.workers, progress=done, part=part)
    return 0


def import_recordings(args: argparse.Namespace) -> int:
    """Import what was recorded."""
    kinds: dict[str, Callable[[argparse.Namespace], None]] = {
        "dhp19": _import_dhp19,
        "bag": _import_bag,
        "recording": _import_labelled,
    }
    kinds[args.kind](args)
    return 0


def _import_dhp19(args: argparse.Namespace) -> None:
    from hybrid_pose_ros.events.dhp19.recording import RecordingError
    from hybrid_pose_ros.geometry.cameras import load_dhp19_cameras
    from hybrid_pose_ros.research.training import importing
    from hybrid_pose_ros.research.training.shards import is_finished

    cameras = load_dhp19_cameras(args.calibration)
    if args.recording.is_dir():
        if args.labels is not None:
            raise CommandError(f"--labels is for one file, and {args.recording} is a folder")
        found = importing.find_dhp19(args.recording)
    else:
        if args.labels is None or args.split is None:
            raise CommandError(f"{args.recording}: one file needs --labels and --split")
        found = [importing.Dhp19Files(args.recording, args.labels)]
    if unfit := sorted(set(args.validation) & set(importing.DHP19_TEST_SUBJECTS)):
        raise CommandError(f"--validation {unfit[0]}: subjects 13 to 17 are for the test")
    number, count = _part(args.part)
    found = found[number - 1 :: count]
    left_out = []
    with make_progress() as progress:
        task = progress.add_task("importing", total=len(found), note="")
        for files in found:
            folder = args.data / (args.split or importing.dhp19_split(files, args.validation))
            names = importing.dhp19_names(files, args.cameras)
            if not all(is_finished(folder / name) for name in names):
                try:
                    _write(folder, importing.read_dhp19(files, cameras, args.cameras))
                except RecordingError as error:
                    if len(found) == 1:
                        raise
                    left_out.append(str(error))  # two of DHP19 are corrupt
            progress.advance(task)
    for reason in left_out:
        print(f"left out: {reason}")


def _import_bag(args: argparse.Namespace) -> None:
    from hybrid_pose_ros.research.training.importing import read_bag

    names = [name for name in args.cameras.split(",") if name]
    _write(args.data / args.split, read_bag(args.recording, names), again=False)


def _import_labelled(args: argparse.Namespace) -> None:
    from hybrid_pose_ros.research.training.importing import read_labelled

    recording = read_labelled(args.recording, args.labels, args.camera)
    _write(args.data / args.split, iter((recording,)), again=False)


def _write(folder: Path, recordings: "Iterator[LabelledRecording]", again: bool = True) -> None:
    from hybrid_pose_ros.networks.config import EDGE
    from hybrid_pose_ros.research.training.importing import import_recording
    from hybrid_pose_ros.research.training.shards import is_finished

    for recording in recordings:
        place = folder / recording.name
        if not again and is_finished(place):
            raise CommandError(f"{place}: exists already; remove it to import it again")
        import_recording(folder, recording, EDGE)
        if not again:
            print(
                f"{place}: {len(recording.events):,} events, {len(recording.labels.t_ns)} labels"
            )


def score(args: argparse.Namespace) -> int:
    """Test a model by the paper's protocol."""
    import torch

    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.research.evaluation.paper_protocol import score_windows
    from hybrid_pose_ros.research.training.shards import IMPORTED, open_shards

    torch.set_num_threads(args.threads)
    checkpoint = load_checkpoint(args.checkpoint)
    network = checkpoint.network.to(args.device)
    shards = open_shards(args.data / args.split, checkpoint.config)
    if not args.all:
        shards = [shard for shard in shards if IMPORTED in shard.meta]
        if not shards:
            raise CommandError(
                f"{args.data / args.split}: no imported recordings; make them with "
                "`hybrid-pose research train import`, or test on rendered ones, too, with --all"
            )
    groups: dict[str, list[Shard]] = {"all": shards}
    if not args.all:
        for shard in shards:
            groups.setdefault(shard.meta["camera"], []).append(shard)
    figures = {name: score_windows(network, group) for name, group in groups.items()}
    for name, errors in figures.items():
        _show(name, errors)
    if args.json is not None:
        record = {"model": checkpoint.digest, "recordings": len(shards), "px": figures}
        write_figures(args.json, record)
    return 0


def _show(camera: str, errors: dict[str, list[float]]) -> None:
    from hybrid_pose_ros.research.evaluation.published import PUBLISHED_PER_STEP_PX

    count = len(errors["hybrid"])
    table = Table("px", "mean", *(str(step) for step in range(1, count + 1)), title=camera)
    table.add_row("ann", f"{errors['ann'][0]:.2f}")
    for name in _ROWS:
        table.add_row(
            name, f"{sum(errors[name]) / count:.2f}", *(f"{e:.2f}" for e in errors[name])
        )
    table.add_section()
    for name, published in PUBLISHED_PER_STEP_PX.items():
        mean = sum(published) / len(published)
        table.add_row(f"paper: {name}", f"{mean:.2f}", *(f"{e:.2f}" for e in published))
    Console(width=130).print(table)
