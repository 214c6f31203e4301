# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research train`: make the data, train the stages, export a checkpoint."""

import argparse
import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hybrid_pose_ros.cli import CommandError, check_at_least_one, training_data

if TYPE_CHECKING:
    import torch


STAGES = ("ann", "snn", "hybrid")


def add_parser(subparsers: Any) -> None:
    """Add `train` and its own subcommands."""
    parser = subparsers.add_parser("train", help="train a model on recordings")
    commands = parser.add_subparsers(dest="train_command", required=True, metavar="COMMAND")

    training_data.add_parsers(commands)
    for stage, what in zip(
        STAGES, ("the ANN", "the SNN alone", "SNN and initialiser on a trained ANN"), strict=True
    ):
        command = commands.add_parser(stage, help=f"train {what}")
        command.add_argument("--data", type=Path, required=True, help="folder of the data")
        command.add_argument("--out", type=Path, required=True, help="folder of the training run")
        command.add_argument(
            "--from",
            type=Path,
            dest="start",
            metavar="CHECKPOINT",
            help="begin with its weights instead of random ones",
        )
        if stage == "hybrid":
            command.add_argument(
                "--variant",
                choices=("no_init", "no_delta"),
                help="train what the hybrid is compared with",
            )
        command.add_argument("--updates", type=int, default=20_000, help="optimiser updates")
        command.add_argument("--batch", type=int, default=32 if stage == "ann" else 16)
        command.add_argument("--learning-rate", type=float, default=1e-3)
        command.add_argument(
            "--window", type=int, default=2 if stage == "ann" else 10, help="steps per sample"
        )
        command.add_argument("--strip", type=int, default=48, help="columns around the person")
        command.add_argument("--report-every", type=int, default=500, help="updates")
        command.add_argument("--samples", type=int, default=256, help="validated at a report")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--imported-share",
            type=float,
            metavar="SHARE",
            help="share of samples from imported recordings, 0 to 1 (default: all as often)",
        )
        command.add_argument(
            "--follow",
            action="store_true",
            help="take in what is added to the data, at every report",
        )
        command.add_argument("--device", default="cpu", help="torch device, such as cpu or cuda")
        command.add_argument("--threads", type=int, default=2, help="CPU threads")
        if stage != "ann":  # the ANN's convolutions become slower by it
            command.add_argument("--compile", action="store_true", help="compile the SNN first")

    export = commands.add_parser("export", help="write the checkpoint that the nodes load")
    export.add_argument("--out", type=Path, required=True, help="folder of the training run")
    export.add_argument("--data", type=Path, required=True, help="folder made by `render`")
    export.add_argument("--checkpoint", type=Path, required=True, help="file to write")
    export.add_argument("--samples", type=int, default=1024, help="tested for its summary")


def run(args: argparse.Namespace) -> int:
    """Run the chosen subcommand."""
    actions = {
        "render": training_data.render,
        "import": training_data.import_recordings,
        "score": training_data.score,
        "export": _export,
    }
    action = actions.get(args.train_command, _train)
    try:
        return action(args)
    except OSError as error:
        raise CommandError(str(error)) from error


def _train(args: argparse.Namespace) -> int:
    import torch

    from hybrid_pose_ros.research.training.distributed import joined

    check_at_least_one("--window", args.window)
    if args.imported_share is not None and not 0 <= args.imported_share <= 1:
        raise CommandError(f"--imported-share must be 0 to 1, not {args.imported_share:g}")
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    with joined(args.device) as device:
        if device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32
            torch.backends.cudnn.benchmark = True
        return _train_on(device, args)


def _train_on(device: "torch.device", args: argparse.Namespace) -> int:
    from hybrid_pose_ros.research.evaluation.comparison import COMPARED, make_validation
    from hybrid_pose_ros.research.training.distributed import processes, rank
    from hybrid_pose_ros.research.training.log import RunLog
    from hybrid_pose_ros.research.training.run_folder import begin_network
    from hybrid_pose_ros.research.training.shards import open_shards, recordings_digest
    from hybrid_pose_ros.research.training.sources import FOLLOWED, make_source
    from hybrid_pose_ros.research.training.stages import Stage
    from hybrid_pose_ros.research.training.trainer import (
        Report,
        TrainingPlan,
        train_stage,
        weights_digests,
    )

    stage = Stage(args.train_command)
    variant = getattr(args, "variant", None)
    network = begin_network(args.out, stage, args.start, variant).to(device)
    config = network.config
    shards = open_shards(args.data / "train", config)
    ann_weights, snn_weights = weights_digests(network)
    plan = TrainingPlan(
        stage=stage,
        updates=args.updates,
        batch=args.batch,
        window_steps=args.window,
        learning_rate=args.learning_rate,
        seed=args.seed,
        strip=args.strip,
        recordings=FOLLOWED if args.follow else recordings_digest(shards),
        ann_weights=ann_weights,
        snn_weights=snn_weights,
        compiled=getattr(args, "compile", False),
        report_every=args.report_every,
        imported_share=args.imported_share,
        processes=processes(),
    )
    source = make_source(args.data / "train", shards, plan, config, device)
    names = {Stage.ANN: ("ann", "ann_held"), Stage.SNN: ("snn_from_rest",)}.get(stage, COMPARED)
    validation = open_shards(args.data / "validation", config)
    validate = make_validation(validation, config, args.samples, names)
    console = Console()

    def reported(report: Report) -> None:
        figures = "  ".join(f"{name} {value:.2f}" for name, value in report.validation.items())
        console.print(f"{report.update}: loss {report.loss:.4f}, {figures}")

    first = rank() == 0
    progress = training_data.make_progress()
    with progress if first else nullcontext(), RunLog(args.out) if first else nullcontext() as log:
        task = progress.add_task(stage.value, total=plan.updates, note="")

        def advanced(update: int, loss: float) -> None:
            progress.update(task, completed=update, note=f"loss {loss:.4f}")

        train_stage(
            network,
            source,
            plan,
            args.out,
            name=stage.value if variant is None else f"{stage.value}_{variant}",
            log=log,
            validate=validate,
            progress=advanced,
            reported=reported,
        )
    return 0


def _export(args: argparse.Namespace) -> int:
    from hybrid_pose_ros.research.evaluation.export_run import export_run

    summary = export_run(args.out, args.data, args.checkpoint, args.samples)
    print(json.dumps(summary, indent=2))
    return 0
