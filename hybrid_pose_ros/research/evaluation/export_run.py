# SPDX-License-Identifier: Apache-2.0
"""From the folder of a training run to the checkpoint that the nodes load."""

from pathlib import Path
from typing import Any, Final

from hybrid_pose_ros.networks.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    save_variant,
    variant_path,
)
from hybrid_pose_ros.networks.config import EDGE, VARIANTS, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.comparison import COMPARED, make_validation
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS
from hybrid_pose_ros.research.training.carry_fit import fit_carry
from hybrid_pose_ros.research.training.draws import NO_AUGMENTATION
from hybrid_pose_ros.research.training.run_folder import RunError, check_ann, read_stage
from hybrid_pose_ros.research.training.sampling import Batch, BatchSource
from hybrid_pose_ros.research.training.shards import open_shards

_EARLIER_WINDOWS: Final = 3
_CARRY_SAMPLES: Final = 192
"""Samples at most that state blending is fitted on, each after so many earlier windows."""


def export_run(folder: Path, data: Path, checkpoint: Path, samples: int) -> dict[str, Any]:
    """Write the checkpoint of a run, and those of its variants beside it; return its summary.

    Args:
        folder: of the run.
        data: of the recordings; its validation is fitted on, its test measured.
        checkpoint: file to write.
        samples: windows that are tested.

    Raises:
        RunError: the stage `hybrid` is missing, or does not fit the ANN.
        ShardError: the recordings are missing or do not fit.
    """
    path = folder / "hybrid.pt"
    if not path.is_file():
        raise RunError(f"{path}: train the stages first, `hybrid` last")
    check_ann(folder)
    state = read_stage(path)
    network = HybridPoseNetwork(EDGE)
    network.load_state_dict(state["network"])
    network.eval()
    fitted_on = _fitting_samples(data, samples)
    fit_carry(network, fitted_on)
    measure = make_validation(open_shards(data / "test", EDGE), EDGE, samples, COMPARED)
    # half-precision weights are what users get, so they are what is measured
    save_checkpoint(checkpoint, network, {})
    figures = measure(load_checkpoint(checkpoint).network)
    plans = {file.stem: _trained(file) for file in sorted(folder.glob("*.pt"))}
    shards = open_shards(data / "train", EDGE)
    summary = {
        "trained": plans,
        "updates": state["update"],
        "train_recordings": len(shards),
        "train_minutes": sum(len(s.counts) for s in shards) * EDGE.step_ns / 60e9,
        "kept_heatmaps": [round(share, 2) for share in network.carry.heatmaps.tolist()],
        "test_px": figures,
    }
    digest = save_checkpoint(checkpoint, network, summary)
    variants = _export_variants(folder, checkpoint, fitted_on)
    return {"checkpoint": str(checkpoint), "digest": digest, "variants": variants, **summary}


def _fitting_samples(data: Path, samples: int) -> list[Batch]:
    size = min(samples, 32)
    batches = BatchSource(
        open_shards(data / "validation", EDGE),
        EDGE,
        batch=size,
        steps=WINDOW_NS // EDGE.step_ns,
        seed=1,
        augmentation=NO_AUGMENTATION,
        earlier=(_EARLIER_WINDOWS,),
    )
    return [batches[i] for i in range(min(samples, _CARRY_SAMPLES) // size)]


def _export_variants(folder: Path, checkpoint: Path, fitted_on: list[Batch]) -> list[str]:
    base = load_checkpoint(checkpoint)
    written = []
    for name in VARIANTS:
        file = folder / ("snn.pt" if name == "snn" else f"hybrid_{name}.pt")
        if not file.is_file():
            continue
        variant = HybridPoseNetwork(variant_of(EDGE, name))
        trained = read_stage(file)["network"]
        # the stage `snn` trains a part of the hybrid, which has more
        variant.load_state_dict({key: trained[key] for key in variant.state_dict()})
        if variant.config.carry:
            fit_carry(variant.eval(), fitted_on)
        target = variant_path(checkpoint.parent, EDGE, name)
        save_variant(target, variant, base, name)
        written.append(str(target))
    return written


def _trained(path: Path) -> dict[str, Any]:
    """Return how much a stage was trained, and by which plan."""
    state = read_stage(path)
    return {**state["plan"], "updates": state["update"]}
