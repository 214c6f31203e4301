# SPDX-License-Identifier: Apache-2.0
"""The runtimes of the ANN and the initialiser: torch, or OpenVINO where it is installed.

Both work from the checkpoint alone; nothing is calibrated, and nothing written to disk. In
bfloat16 activations and weights are rounded to 8 bits of mantissa, and products are summed in
float32. The velocities, which add up over the steps, are computed in float32 from the activations.
"""

import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.snn import SnnState

RUNTIMES: Final = ("torch", "openvino")

PRECISIONS: Final = ("auto", "float32", "bfloat16")
"""``auto`` is bfloat16 on a processor that has instructions for it, and float32 on others."""

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}

Forward = Callable[[Tensor], SnnState]
"""Windows, float32 [1, planes, H, W], to the initial state, whose heatmaps are the ANN's.

The state is float32. Its memory may be used again by the next call.
"""


class RuntimeMissingError(RuntimeError):
    """A runtime is not installed; the message says how to get it."""


def chosen_precision(precision: str) -> str:
    """Return what one of :data:`PRECISIONS` means here: ``float32`` or ``bfloat16``."""
    if precision != "auto":
        return precision
    features = torch.cpu.get_capabilities()
    return "bfloat16" if features.get("avx512_bf16") or features.get("amx_bf16") else "float32"


def make_forward(network: HybridPoseNetwork, runtime: str, precision: str) -> Forward:
    """Make a function that does what :meth:`HybridPoseNetwork.initial_state` does.

    Args:
        network: in evaluation mode, with BatchNorm folded; from now on the function's own.
        runtime: one of :data:`RUNTIMES`.
        precision: ``float32`` or ``bfloat16``.

    Raises:
        RuntimeMissingError: the runtime is not installed.
    """
    make = {"torch": _torch_forward, "openvino": _openvino_forward}[runtime]
    return make(network, precision)


def _torch_forward(network: HybridPoseNetwork, precision: str) -> Forward:
    dtype = DTYPES[precision]
    for part in (network.ann, network.initialiser):
        part.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(windows: Tensor) -> SnnState:
        _, state = network.initial_state(windows.to(dtype, memory_format=torch.channels_last))
        return state

    return forward


class Convolutions(nn.Module):
    """ANN and initialiser from the windows to a flat tuple of tensors: what can be exported.

    The velocities are not among them, for OpenVINO's converter knows no pooling by sums.
    """

    def __init__(self, network: HybridPoseNetwork) -> None:
        super().__init__()
        self.network = network
        self._taps = network.motion.taps if network.config.snn.motion else ()

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        """[1, planes, H, W] -> heatmaps, membranes in layer order, activations of the joints."""
        heatmaps, activations = self.network.ann(windows)
        rest = self.network.snn.rest(1, *windows.shape[-2:])
        membranes = rest.membranes
        if self.network.config.init_membranes:
            membranes = self.network.initialiser(activations, rest)
        return (
            heatmaps,
            *(membranes[layer] for layer in SPIKING_LAYERS),
            *(activations[tap] for tap in self._taps),
        )

    def state(self, outputs: Iterable[NDArray[np.float32]]) -> SnnState:
        """Put together the initial state from what an exported copy returned."""
        heatmaps, *rest = map(torch.from_numpy, outputs)
        membranes = dict(zip(SPIKING_LAYERS, rest, strict=False))
        velocity = None
        if self._taps:
            activations = dict(zip(self._taps, rest[len(SPIKING_LAYERS) :], strict=True))
            velocity = self.network.motion(heatmaps, activations)
        return SnnState(membranes, heatmaps, velocity)

    def example(self) -> Tensor:
        """Windows without events."""
        view, planes = self.network.config.view, self.network.config.ann.input_planes
        return torch.zeros(1, planes, view.grid_height, view.grid_width)


def _openvino_forward(network: HybridPoseNetwork, precision: str) -> Forward:
    convolutions = Convolutions(network)
    return openvino_forward(convolutions, openvino_model(convolutions), precision)


def openvino_forward(convolutions: Convolutions, model: Any, precision: str) -> Forward:
    """Compile what :func:`openvino_model` returned."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # a node's cores are its user's to choose
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def forward(windows: Tensor) -> SnnState:
        request.infer([windows.numpy()], share_inputs=True, share_outputs=True)
        return convolutions.state(tensor.data for tensor in request.output_tensors)

    return forward


def openvino_model(convolutions: Convolutions) -> Any:
    """Convert to a model of OpenVINO.

    Raises:
        RuntimeMissingError: it is not installed.
    """
    # Importing it reports the import to its makers' analytics, unless their library is not there.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
    except ImportError as error:
        raise RuntimeMissingError(
            f"runtime openvino: it cannot be imported ({error}); install it with "
            "`pip install -r requirements-openvino.txt` or set runtime to torch"
        ) from error
    example = convolutions.example()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that shapes become constants, which is what we want
        graph = torch.jit.trace(convolutions, example, check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(graph)  # the converter keeps no reference to it
    model = frontend.convert(frontend.load(decoder))
    model.reshape(openvino.PartialShape(list(example.shape)))
    return model
