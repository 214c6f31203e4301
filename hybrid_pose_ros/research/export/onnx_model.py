# SPDX-License-Identifier: Apache-2.0
"""The ANN with the initialiser as a model of ONNX.

Its input `windows` is what :class:`~hybrid_pose_ros.pipeline.ann_estimator.AnnEstimator` makes of
the events, float32 [1, planes, H, W]. Its outputs are `heatmaps` [1, 13, H, W], `membrane_<layer>`
for each spiking layer and, of a network with motion, `velocity` [1, 13, 2] in cells per step.
"""

import warnings
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.pipeline.ann_runtime import Convolutions
from hybrid_pose_ros.research.export.nir_graph import ExportError

OPSET: Final = 17
"""Version of ONNX's operators: one that all common runtimes know."""


class InitialState(nn.Module):
    """ANN and initialiser from the windows to a flat tuple of tensors."""

    def __init__(self, network: HybridPoseNetwork) -> None:
        super().__init__()
        self.convolutions = Convolutions(network)

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        """[1, planes, H, W] -> heatmaps, membranes in layer order, velocities."""
        network = self.convolutions.network
        heatmaps, *rest = self.convolutions(windows)
        membranes, activations = rest[: len(SPIKING_LAYERS)], rest[len(SPIKING_LAYERS) :]
        if not network.config.snn.motion:
            return heatmaps, *membranes
        around = dict(zip(network.motion.taps, activations, strict=True))
        return heatmaps, *membranes, network.motion(heatmaps, around, halve)

    def names(self) -> list[str]:
        """Names of the outputs."""
        velocity = ["velocity"] if self.convolutions.network.config.snn.motion else []
        return ["heatmaps", *(f"membrane_{name}" for name in SPIKING_LAYERS), *velocity]


def halve(attentions: Tensor) -> Tensor:
    """Sum 2 x 2 cells: ONNX knows no pooling by sums."""
    height, width = attentions.shape[-2:]
    padded = pad(attentions, (0, width % 2, 0, height % 2))
    return 4.0 * avg_pool2d(padded, 2)


def write_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write the ANN and the initialiser of a checkpoint to a file of ONNX.

    Raises:
        ExportError: onnx is not installed.
        OSError: the file cannot be written.
    """
    try:
        import onnx
    except ImportError as error:
        raise ExportError(
            "ONNX cannot be written: install it with `pip install -r requirements-export.txt`"
        ) from error
    network = HybridPoseNetwork(checkpoint.config).eval()
    network.load_state_dict(checkpoint.network.state_dict())
    fold_batchnorm(network)
    model = InitialState(network).eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that shapes become constants, which is what we want
        torch.onnx.export(
            model,
            (model.convolutions.example(),),
            path,
            input_names=["windows"],
            output_names=model.names(),
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs onnxscript
        )
    written = onnx.load(path)
    entry = written.metadata_props.add()
    entry.key, entry.value = "model", f"{checkpoint.config.name} {checkpoint.digest}"
    onnx.checker.check_model(written)
    onnx.save(written, path)
