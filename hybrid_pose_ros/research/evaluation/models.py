# SPDX-License-Identifier: Apache-2.0
"""The models that are compared, by name, and the networks that they need."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint, load_variant
from hybrid_pose_ros.networks.config import VARIANTS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.pipeline.ann_demand import AutoRate
from hybrid_pose_ros.pipeline.step_length import StepLengthError, with_step

SHORT_STEPS: Final = {"200hz": 5_000_000, "500hz": 2_000_000, "1000hz": 1_000_000}
"""The hybrid's own weights, converted to shorter steps: name -> length in ns."""

RARE_MS: Final = {f"hybrid_{ms}ms": ms for ms in (120, 150, 200, 300)}
"""The hybrid with an ANN that runs less often: name -> time between two runs."""


AUTO_PX: Final = {
    "hybrid_auto": AutoRate.max_drift_px,
    "hybrid_auto_1px": 1.0,
    "hybrid_auto_6px": 6.0,
}
"""The hybrid with an ANN that runs when the SNN asks for it: name -> ``max_drift_px``."""

CURVE_ONLY: Final = ("hybrid_auto_1px", "hybrid_auto_6px")
"""Those of them that stand in the curve of error against rate alone."""


@dataclass(frozen=True)
class Model:
    """One entry of the comparison.

    Attributes:
        variant: the variant (trained, or of :data:`SHORT_STEPS`) whose network it is; None for
            the hybrid's.
        ann_hz: how often the ANN runs, per second; where the SNN asks for it, this is counted.
        membranes, velocities: what the ANN initialises whenever it runs.
        activity: the model whose neurons' activity it has; None without SNN.
        replayed: SNN steps that are run again, as a share of all.
    """

    variant: str | None = None
    ann_hz: float = 0.0
    membranes: bool = False
    velocities: bool = False
    activity: str | None = None
    replayed: float = 0.0


def _hybrid(
    name: str, variant: str | None = None, ann_hz: float = 10.0, replayed: float = 0.0
) -> Model:
    return Model(variant, ann_hz, True, True, name, replayed)


MODELS: Final = {
    "ann": Model(ann_hz=100.0),
    "ann_held": Model(ann_hz=10.0),
    "ann_extrapolated": Model(ann_hz=10.0, velocities=True),
    "snn": Model("snn", activity="snn"),
    "snn_running": Model("snn", activity="snn_running"),
    "hybrid": _hybrid("hybrid"),
    "hybrid_engine": _hybrid("hybrid_engine"),
    "hybrid_live": _hybrid("hybrid_live"),
    "hybrid_reset": _hybrid("hybrid_reset"),
    "hybrid_no_init": _hybrid("hybrid_no_init", "no_init"),
    "hybrid_no_init_untrained": Model(
        ann_hz=10.0, velocities=True, activity="hybrid_no_init_untrained"
    ),
    "hybrid_no_delta": _hybrid("hybrid_no_delta", "no_delta"),
    **{f"hybrid_{name}": _hybrid(f"hybrid_{name}", name) for name in SHORT_STEPS},
    # the same SNN at other moments: its activity is taken to be that of the punctual one
    "hybrid_late_20ms": _hybrid("hybrid", replayed=0.2),
    "hybrid_late_50ms": _hybrid("hybrid", replayed=0.5),
    "hybrid_late_100ms": _hybrid("hybrid", replayed=1.0),
    "hybrid_late_20ms_no_replay": _hybrid("hybrid"),
    "hybrid_late_50ms_no_replay": _hybrid("hybrid"),
    "hybrid_late_100ms_no_replay": _hybrid("hybrid"),
    **{name: _hybrid(name, ann_hz=1000.0 / ms) for name, ms in RARE_MS.items()},
    **{name: _hybrid(name) for name in AUTO_PX},
    "mean_pose": Model(),
}
"""All models, in the order of tables."""


@dataclass(frozen=True)
class Networks:
    """The networks, with BatchNorm folded.

    Attributes:
        checkpoint: the hybrid.
        variants: name (of :data:`VARIANTS` or :data:`SHORT_STEPS`) -> network, those that there
            are weights of.
    """

    checkpoint: Checkpoint
    variants: Mapping[str, HybridPoseNetwork]

    @property
    def hybrid(self) -> HybridPoseNetwork:
        """The hybrid's network."""
        return self.checkpoint.network

    def of(self, model: Model) -> HybridPoseNetwork | None:
        """The network of a model; None if there are no weights of it."""
        return self.hybrid if model.variant is None else self.variants.get(model.variant)

    def missing(self) -> dict[str, str]:
        """The models that cannot be run, with the reason."""
        reasons = {
            name: _reason(str(model.variant))
            for name, model in MODELS.items()
            if self.of(model) is None
        }
        if not self.hybrid.config.snn.motion:
            reasons["ann_extrapolated"] = "the model has no velocities"
        if not self.hybrid.config.carry:
            reasons["hybrid_reset"] = "this model has no state blending"
        return reasons


def _reason(variant: str) -> str:
    if variant in SHORT_STEPS:
        return f"the model has no form for steps of {SHORT_STEPS[variant] / 1e6:g} ms"
    return f"there are no weights of the variant {variant}"


def load_networks(checkpoint: Path | None, variants: Path | None) -> Networks:
    """Read the hybrid and the variants.

    Args:
        checkpoint: file; None for the shipped weights.
        variants: folder of the variants; None for those beside the checkpoint.

    Raises:
        CheckpointError: a file is missing or damaged, or a variant does not fit the hybrid.
    """
    base = load_checkpoint(checkpoint)
    if variants is None and checkpoint is not None:
        variants = checkpoint.parent
    found = {name: load_variant(name, base, variants) for name in VARIANTS}
    networks = {name: network for name, network in found.items() if network is not None}
    for name, step_ns in SHORT_STEPS.items():
        with suppress(StepLengthError):  # then the model is named as missing
            networks[name] = with_step(base, step_ns).network
    for network in (base.network, *networks.values()):
        fold_batchnorm(network)
        # a quarter faster on a CPU
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Networks(base, networks)
