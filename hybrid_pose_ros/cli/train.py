# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose research train`: make the data, train the stages, export a checkpoint."""

import argparse
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hybrid_pose_ros.cli import CommandError, check_at_least_one, training_data
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS

if TYPE_CHECKING:
    import torch

    from hybrid_pose_ros.networks.config import ModelConfig
    from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
    from hybrid_pose_ros.research.training.shards import Shard

STAGES = ("ann", "snn", "hybrid")

_EARLIER_WINDOWS = 3
_CARRY_SAMPLES = 192
"""Samples at most that state blending is fitted on, each after so many earlier windows."""


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


def _validation(
    shards: "list[Shard]", config: "ModelConfig", samples: int, names: tuple[str, ...]
) -> "Callable[[HybridPoseNetwork], dict[str, float]]":
    import numpy as np

    from hybrid_pose_ros.research.evaluation.comparison import compare, mean_points
    from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, BatchSource

    batch = min(samples, 32)
    source = BatchSource(
        shards,
        config,
        batch=batch,
        steps=WINDOW_NS // config.step_ns,
        seed=0,
        augmentation=NO_AUGMENTATION,
        # only the hybrid's SNN has a past that matters
        earlier=(1,) if "hybrid" in names else (0,),
    )
    mean_pose = mean_points(shards)

    def validate(network: "HybridPoseNetwork") -> dict[str, float]:
        batches = (source[i] for i in range(samples // batch))
        errors = compare(network, batches, mean_pose, names)
        return {f"{name}_px": float(np.mean(values)) for name, values in errors.items()}

    return validate


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
    from hybrid_pose_ros.research.evaluation.comparison import COMPARED
    from hybrid_pose_ros.research.training.distributed import processes, rank
    from hybrid_pose_ros.research.training.log import RunLog
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
    network = _start(args.out, stage, args.start, variant).to(device)
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
    validate = _validation(validation, config, args.samples, names)
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


def _start(
    folder: Path, stage: Any, start: Path | None, variant: str | None
) -> "HybridPoseNetwork":
    """Build the network with what a checkpoint and earlier stages of this run have trained.

    The hybrid has the run's ANN, if there is one, and the SNN of the checkpoint, if one is given.
    """
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.networks.config import EDGE, variant_of
    from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
    from hybrid_pose_ros.research.training.stages import Stage

    network = HybridPoseNetwork(EDGE)
    if start is not None:
        trained = load_checkpoint(start).network
        # weights fit whichever filter the events went through
        if replace(trained.config, noise_filter=EDGE.noise_filter) != EDGE:
            raise CommandError(
                f"{start}: its configuration is not that of this version's edge model"
            )
        network.load_state_dict(trained.state_dict())
    ann, snn = folder / "ann.pt", folder / "snn.pt"
    if stage is Stage.HYBRID:
        if ann.is_file():
            state = _state(ann)["network"]
            _load_part(network.ann, state, "ann.")
            _load_part(network.motion, state, "motion.")
        elif start is None:
            raise CommandError(
                f"{ann}: train the ANN first, with `hybrid-pose research train ann`"
            )
        if start is None and snn.is_file():
            _load_part(network.snn, _state(snn)["network"], "snn.")
    if variant is None:
        return network
    other = HybridPoseNetwork(variant_of(EDGE, variant))
    shared = other.state_dict().keys()
    other.load_state_dict({k: v for k, v in network.state_dict().items() if k in shared})
    return other


def _state(path: Path) -> dict[str, Any]:
    """Read what a stage has saved, on whatever device."""
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True))


def _load_part(module: Any, state: dict[str, Any], prefix: str) -> None:
    module.load_state_dict(
        {name.removeprefix(prefix): v for name, v in state.items() if name.startswith(prefix)}
    )


def _export(args: argparse.Namespace) -> int:
    from hybrid_pose_ros.networks.checkpoint import (
        load_checkpoint,
        save_checkpoint,
        save_variant,
        variant_path,
    )
    from hybrid_pose_ros.networks.config import EDGE, VARIANTS, variant_of
    from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
    from hybrid_pose_ros.research.evaluation.comparison import COMPARED
    from hybrid_pose_ros.research.training.carry_fit import fit_carry
    from hybrid_pose_ros.research.training.sampling import NO_AUGMENTATION, BatchSource
    from hybrid_pose_ros.research.training.shards import open_shards

    path = args.out / "hybrid.pt"
    if not path.is_file():
        raise CommandError(f"{path}: train the stages first, `hybrid` last")
    _check_ann(args.out)
    state = _state(path)
    network = HybridPoseNetwork(EDGE)
    network.load_state_dict(state["network"])
    network.eval()
    size = min(args.samples, 32)
    batches = BatchSource(
        open_shards(args.data / "validation", EDGE),
        EDGE,
        batch=size,
        steps=WINDOW_NS // EDGE.step_ns,
        seed=1,
        augmentation=NO_AUGMENTATION,
        earlier=(_EARLIER_WINDOWS,),
    )
    samples = [batches[i] for i in range(min(args.samples, _CARRY_SAMPLES) // size)]
    fit_carry(network, samples)
    measure = _validation(open_shards(args.data / "test", EDGE), EDGE, args.samples, COMPARED)
    # half-precision weights are what users get, so they are what is measured
    save_checkpoint(args.checkpoint, network, {})
    figures = measure(load_checkpoint(args.checkpoint).network)
    plans = {file.stem: _trained(file) for file in sorted(args.out.glob("*.pt"))}
    shards = open_shards(args.data / "train", EDGE)
    summary = {
        "trained": plans,
        "updates": state["update"],
        "train_recordings": len(shards),
        "train_minutes": sum(len(s.counts) for s in shards) * EDGE.step_ns / 60e9,
        "kept_heatmaps": [round(share, 2) for share in network.carry.heatmaps.tolist()],
        "test_px": figures,
    }
    digest = save_checkpoint(args.checkpoint, network, summary)
    base = load_checkpoint(args.checkpoint)
    written = []
    for name in VARIANTS:
        file = args.out / ("snn.pt" if name == "snn" else f"hybrid_{name}.pt")
        if not file.is_file():
            continue
        variant = HybridPoseNetwork(variant_of(EDGE, name))
        trained = _state(file)["network"]
        # the stage `snn` trains a part of the hybrid, which has more
        variant.load_state_dict({key: trained[key] for key in variant.state_dict()})
        if variant.config.carry:
            fit_carry(variant.eval(), samples)
        target = variant_path(args.checkpoint.parent, EDGE, name)
        save_variant(target, variant, base, name)
        written.append(str(target))
    record = {"checkpoint": str(args.checkpoint), "digest": digest, "variants": written}
    print(json.dumps({**record, **summary}, indent=2))
    return 0


def _check_ann(folder: Path) -> None:
    """Refuse hybrids that were trained on another ANN than the run's, or than the hybrid's own."""
    import torch

    from hybrid_pose_ros.research.training.trainer import ANN_PARTS

    ann = folder / "ann.pt"
    if not ann.is_file():  # then it came from a checkpoint
        ann = folder / "hybrid.pt"
    expected = _state(ann)["network"]
    for file in sorted(folder.glob("hybrid*.pt")):
        for name, value in _state(file)["network"].items():
            if name.startswith(ANN_PARTS) and not torch.equal(value, expected[name]):
                raise CommandError(
                    f"{file}: trained on another ANN than that of {ann}; "
                    "remove it and train it again"
                )


def _trained(path: Path) -> dict[str, Any]:
    """How much a stage was trained, and by which plan."""
    state = _state(path)
    return {**state["plan"], "updates": state["update"]}
