# SPDX-License-Identifier: Apache-2.0
"""The paper's comparison on windows of a few steps: ANN, hybrid, and what each lacks."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybrid_pose_ros.metrics.pose_errors import mpjpe
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS
from hybrid_pose_ros.research.training.draws import NO_AUGMENTATION
from hybrid_pose_ros.research.training.sampling import Batch, BatchSource
from hybrid_pose_ros.research.training.shards import Shard
from hybrid_pose_ros.research.training.stages import begin

COMPARED: Final = ("ann", "ann_held", "snn_from_rest", "hybrid")


def mean_points(shards: Sequence[Shard]) -> NDArray[np.float32]:
    """Return the mean place of each joint over the labels that see it, [13, 2] in cells."""
    labels = np.concatenate([shard.labels for shard in shards])
    weight = labels[..., 2:]
    mean: NDArray[np.float32] = (labels[..., :2] * weight).sum(0) / np.maximum(weight.sum(0), 1)
    return mean


def compare(
    network: HybridPoseNetwork,
    batches: Iterable[Batch],
    mean_pose: NDArray[np.float32],
    names: Collection[str] = COMPARED,
) -> dict[str, list[float]]:
    """2D error per step of a window, in pixels of the model's view.

    Args:
        network: in evaluation mode.
        batches: windows with T steps after the last time of the ANN.
        mean_pose: in cells, [13, 2]; see :func:`mean_points`.
        names: which of :data:`COMPARED` to run.

    Returns:
        error after each of the T steps for ``mean_pose``, ``ann_held`` (the ANN's last pose,
        kept), ``snn_from_rest`` (the same SNN without initialisation) and ``hybrid``; and
        ``ann`` (the ANN at that time itself, one value).
    """
    cell = network.config.view.cell
    device = next(network.parameters()).device
    truth, visible = [], []
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    with torch.inference_mode():
        for batch in batches:
            batch = Batch(*(part.to(device) for part in batch))
            heatmaps, state, batch = begin(network, batch)
            windows, counts = batch.windows[0], batch.counts
            ann, _ = decode_heatmaps(heatmaps)
            if "ann" in names:
                found["ann"].append(ann[None].cpu().numpy())
            if "ann_held" in names:
                found["ann_held"].append(ann.expand(len(counts), *ann.shape).cpu().numpy())
            if "snn_from_rest" in names:
                rest = network.snn.rest(len(windows), *windows.shape[-2:])
                found["snn_from_rest"].append(_decode(network.run(rest, counts)))
            if "hybrid" in names:
                found["hybrid"].append(_decode(network.run(state, counts)))
            truth.append(batch.points.cpu().numpy())
            visible.append(batch.visible.cpu().numpy())
    points, seen = np.concatenate(truth, 1) * cell, np.concatenate(visible, 1)
    errors = {
        name: [
            mpjpe(estimate * cell, points[step], seen[step])
            for step, estimate in _with_steps(name, np.concatenate(parts, 1))
        ]
        for name, parts in found.items()
    }
    errors["mean_pose"] = [
        mpjpe(mean_pose * cell, points[step], seen[step]) for step in range(1, len(points))
    ]
    return errors


def _with_steps(
    name: str, estimates: NDArray[np.float32]
) -> Iterable[tuple[int, NDArray[np.float32]]]:
    return enumerate(estimates, 0 if name == "ann" else 1)


def _decode(heatmaps: list[Tensor]) -> NDArray[np.float32]:
    points, _ = decode_heatmaps(torch.stack(heatmaps))
    return points.cpu().numpy()


def make_validation(
    shards: Sequence[Shard], config: ModelConfig, samples: int, names: Collection[str]
) -> Callable[[HybridPoseNetwork], dict[str, float]]:
    """Return what measures a network: the mean 2D error of each name in px, as ``NAME_px``.

    Args:
        shards: recordings that the windows are drawn from.
        samples: number of windows, about.
        names: some of :data:`COMPARED`.
    """
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

    def validate(network: HybridPoseNetwork) -> dict[str, float]:
        batches = (source[i] for i in range(samples // batch))
        errors = compare(network, batches, mean_pose, names)
        return {f"{name}_px": float(np.mean(values)) for name, values in errors.items()}

    return validate
