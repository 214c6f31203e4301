# SPDX-License-Identifier: Apache-2.0
"""The training loop: one stage of a given number of steps, resumable at any time."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.networks.heatmap_motion import JointReadout
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.training.distributed import processes, rank, shared_loss
from hybrid_pose_ros.research.training.log import Report, RunLog
from hybrid_pose_ros.research.training.sampling import Batch, Source
from hybrid_pose_ros.research.training.stages import Stage, set_mode, trained_parts

ANN_PARTS: Final = ("ann.", "motion.")
"""Beginnings of the names of the ANN's weights, those of its velocities included."""

_FREE: Final = ("compiled", "report_every")
"""Of a plan, what may change when a training goes on."""

READOUT_RATE: Final = 0.1
"""Learning rate of the velocities' readouts, as a share of that of all else."""


class TrainingError(UserError):
    """A training cannot go on; the message names the file and the remedy."""


@dataclass(frozen=True)
class TrainingPlan:
    """How a stage is trained.

    Attributes:
        stage: what is trained.
        updates: number of optimiser updates.
        batch: samples per update and process.
        window_steps: SNN steps per sample.
        learning_rate: the peak of a one-cycle schedule.
        seed: of the batches.
        strip: columns that samples are cut to; None: all.
        recordings: digest of those that samples are drawn from.
        ann_weights: digest of the weights that the ANN has at the beginning.
        snn_weights: the same of all else, from :func:`weights_digests`.
        frozen_norm: fraction of the updates, at the end, with BatchNorm's statistics frozen.
        bfloat16: run convolutions in bfloat16 (membranes stay float32).
        compiled: let torch compile the SNN; worth it from a few minutes on.
        report_every: updates between reports, validations and saved states.
        imported_share: share of samples from imported recordings; None: all as often.
        processes: how many train together, each on batches of its own.
    """

    stage: Stage
    updates: int
    batch: int
    window_steps: int
    learning_rate: float
    seed: int
    strip: int | None
    recordings: str
    ann_weights: str
    snn_weights: str
    frozen_norm: float = 0.3
    bfloat16: bool = True
    compiled: bool = False
    report_every: int = 500
    imported_share: float | None = None
    processes: int = 1


def weights_digests(network: HybridPoseNetwork) -> tuple[str, str]:
    """16 hexadecimal digits that identify the ANN's weights, and 16 that identify all others."""
    ann, snn = hashlib.sha256(), hashlib.sha256()
    for name, value in network.state_dict().items():
        digest = ann if name.startswith(ANN_PARTS) else snn
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return ann.hexdigest()[:16], snn.hexdigest()[:16]


def train_stage(
    network: HybridPoseNetwork,
    source: Source,
    plan: TrainingPlan,
    folder: Path,
    *,
    name: str,
    log: RunLog | None,
    validate: Callable[[HybridPoseNetwork], dict[str, float]],
    progress: Callable[[int, float], None],
    reported: Callable[[Report], None],
) -> None:
    """Train ``network`` in place.

    The state is kept in ``<folder>/<name>.pt``: called again with the same plan, training goes on
    where it was, with the batches that would have come; on another device, too. Of several
    processes (:mod:`.distributed`) the first one validates, reports and saves.

    Args:
        source: batches; made by what the plan says.
        name: of the files; what is trained, such as the stage.
        log: takes the reports; of the first process alone.
        validate: called with the network in evaluation mode at every report.
        progress: called with the number of updates done and the current loss.
        reported: called with each report.

    Raises:
        TrainingError: the state in ``folder`` belongs to another plan.
    """
    parts = trained_parts(network, plan.stage)
    parameters = [p for part in parts for p in part.parameters()]
    set_mode(network, plan.stage, freeze_norm=False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = AdamW(_groups(parts, plan.learning_rate), weight_decay=1e-4)
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = OneCycleLR(optimizer, peaks, plan.updates, pct_start=0.1)
    state_file = folder / f"{name}.pt"
    done = 0
    if state_file.is_file():
        done = _restore(state_file, plan, network, optimizer, schedule)
    folder.mkdir(parents=True, exist_ok=True)
    if plan.compiled:
        # with and without gradients and frozen BatchNorm, one after the other
        torch._dynamo.config.recompile_limit = 32
        network.snn.compile(dynamic=False)
    device = next(network.parameters()).device
    loss_of = shared_loss(network, plan.stage)
    # every process takes batches of its own
    numbers = range(done * processes() + rank(), plan.updates * processes(), processes())
    losses: list[float] = []
    started = time.monotonic()
    for update, batch in enumerate(source.batches(numbers), done + 1):
        frozen = update > plan.updates * (1 - plan.frozen_norm)
        set_mode(network, plan.stage, freeze_norm=frozen)
        with torch.autocast(device.type, torch.bfloat16, enabled=plan.bfloat16):
            loss = loss_of(Batch(*(part.to(device) for part in batch)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        progress(update, losses[-1])
        if log is not None and (update % plan.report_every == 0 or update == plan.updates):
            speed = processes() * len(losses) * plan.batch / (time.monotonic() - started)
            with torch.compiler.set_stance("force_eager"):  # compiled for the batches alone
                figures = validate(network.eval())
            report = Report(update, sum(losses) / len(losses), speed, figures)
            log.add(name, report)
            _save(state_file, plan, update, network, optimizer, schedule)
            reported(report)
            losses, started = [], time.monotonic()
    network.eval().requires_grad_(True)


def _groups(parts: list[nn.Module], learning_rate: float) -> list[dict[str, Any]]:
    """The parameters and their peak rates: readouts of velocities are trained more slowly.

    They add up a thousand features each: a step of every weight by the full rate moves them far.
    """
    readouts = [
        parameter
        for part in parts
        for module in part.modules()
        if isinstance(module, JointReadout)
        for parameter in module.parameters()
    ]
    slow = set(map(id, readouts))
    others = [p for part in parts for p in part.parameters() if id(p) not in slow]
    groups = [{"params": others, "lr": learning_rate}]
    if readouts:
        groups.append({"params": readouts, "lr": READOUT_RATE * learning_rate})
    return groups


def _plan_record(plan: TrainingPlan) -> dict[str, Any]:
    record = {**asdict(plan), "stage": plan.stage.value}
    return {name: value for name, value in record.items() if name not in _FREE}


def _save(
    path: Path,
    plan: TrainingPlan,
    update: int,
    network: HybridPoseNetwork,
    optimizer: AdamW,
    schedule: OneCycleLR,
) -> None:
    partial = path.with_suffix(".partial")
    state = {
        "plan": _plan_record(plan),
        "update": update,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
    }
    torch.save(state, partial)
    partial.replace(path)


def _restore(
    path: Path,
    plan: TrainingPlan,
    network: HybridPoseNetwork,
    optimizer: AdamW,
    schedule: OneCycleLR,
) -> int:
    state = torch.load(path, map_location="cpu", weights_only=True)
    kept = {"imported_share": None, "processes": 1, **state["plan"]}  # older ones lack them
    differs = [name for name, value in _plan_record(plan).items() if kept.get(name) != value]
    if differs:
        names = ", ".join(differs).replace("_", " ")
        raise TrainingError(
            f"{path}: was started with another plan (other {names}); remove it to start anew"
        )
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return int(state["update"])
