# SPDX-License-Identifier: Apache-2.0
"""One run of the ANN and the initialiser: the runtimes of the node `ann`, and what else there is.

All run in one process and one thread, input by input in turn. int8 is calibrated on half of the
stream, and all are compared with torch in float32 on the other half.
"""

import copy
import importlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.heatmaps import decode_heatmaps
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_runtime import (
    Convolutions,
    Forward,
    RuntimeMissingError,
    make_forward,
    openvino_forward,
    openvino_model,
)
from hybrid_pose_ros.research.benchmark.peers import PeerMissingError
from hybrid_pose_ros.research.benchmark.statistics import Stopwatch, paired_ratios
from hybrid_pose_ros.research.benchmark.steps import steps_of
from hybrid_pose_ros.research.benchmark.streams import Stream
from hybrid_pose_ros.research.evaluation.published import WINDOW_NS

REFERENCE: Final = "torch_float32"

_Build = Callable[[HybridPoseNetwork, Sequence[Tensor]], Forward]


def measure_ann(
    checkpoint: Checkpoint, stream: Stream, rounds: int, ways: Sequence[str] | None = None
) -> dict[str, Any]:
    """Measure one run in each way.

    Args:
        checkpoint: the model.
        stream: the events; the windows at the start of every 100 ms are the inputs.
        rounds: runs of each that are timed.
        ways: some of :data:`WAYS`; None: all.

    Returns:
        ``ms``: median of each; ``cpu_ms``: likewise of CPU time; ``times_faster``: median over
        the runs of the reference's CPU time over its own; ``start_s``: time to build it and run
        it once; ``shift_px``: mean distance of its ANN's keypoints from the reference's, in pixels
        of the view; ``state_error``: root mean square error of the membranes, of their root mean
        square; ``missing``: way -> why it was not measured; ``runs``: how many were timed.
    """
    network = copy.deepcopy(checkpoint.network)
    fold_batchnorm(network)
    network.requires_grad_(False)
    inputs = _inputs(checkpoint, stream)
    forwards: dict[str, Forward] = {}
    start_s: dict[str, float] = {}
    missing: dict[str, str] = {}
    with torch.inference_mode():
        for way in ways or WAYS:
            start = time.perf_counter()
            try:
                forward = WAYS[way](copy.deepcopy(network), inputs[::2])
                forward(inputs[0])
            except (PeerMissingError, RuntimeMissingError) as error:
                missing[way] = str(error)
                continue
            forwards[way], start_s[way] = forward, time.perf_counter() - start
        cell = checkpoint.config.view.cell
        agreement = {
            name: _distance(forward, forwards[REFERENCE], inputs[1::2], cell)
            for name, forward in forwards.items()
        }
        stopwatch = Stopwatch(forwards)
        for number in range(rounds):
            windows = inputs[number % len(inputs)]
            stopwatch.turn({name: partial(run, windows) for name, run in forwards.items()})
    times, cpu_times = stopwatch.times, stopwatch.cpu_times
    ratios = paired_ratios(cpu_times, REFERENCE)
    return {
        "ms": {name: 1e3 * float(np.median(values)) for name, values in times.items()},
        "cpu_ms": {name: 1e3 * float(np.median(values)) for name, values in cpu_times.items()},
        "times_faster": {name: 1.0 / ratio for name, ratio in ratios.items()},
        "start_s": start_s,
        "shift_px": {name: shift for name, (shift, _) in agreement.items()},
        "state_error": {name: error for name, (_, error) in agreement.items()},
        "missing": missing,
        "runs": rounds,
    }


def _inputs(checkpoint: Checkpoint, stream: Stream) -> list[Tensor]:
    config = checkpoint.config
    windows = AnnEstimator(checkpoint, config.view.fit(stream.width, stream.height))
    found = []
    for step in steps_of(checkpoint, stream):
        windows.push(step)
        if (step.index + 1) % max(1, WINDOW_NS // config.step_ns) == 0:
            found.append(torch.from_numpy(windows.snapshot()[0])[None])
    return found


def _distance(
    forward: Forward, reference: Forward, inputs: Sequence[Tensor], cell: int
) -> tuple[float, float]:
    """Mean distance of keypoints (px), and the error of the membranes, relative."""
    shifts, wrong, whole = [], 0.0, 0.0
    for windows in inputs:
        want = reference(windows)
        points, _ = decode_heatmaps(want.heatmaps[0])
        want = SnnState({k: v.clone() for k, v in want.membranes.items()}, want.heatmaps)
        found = forward(windows)
        shifts.append((decode_heatmaps(found.heatmaps[0])[0] - points).norm(dim=-1).mean())
        for name, membrane in want.membranes.items():
            wrong += float((found.membranes[name] - membrane).square().sum())
            whole += float(membrane.square().sum())
    return cell * float(torch.stack(shifts).mean()), (wrong / whole) ** 0.5


def _compiled(network: HybridPoseNetwork, calibration: Sequence[Tensor]) -> Forward:
    """torch.compile in bfloat16, its weights frozen."""
    inductor = importlib.import_module("torch._inductor.config")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(network.initial_state)

    def forward(windows: Tensor) -> SnnState:
        with inductor.patch(freezing=True), torch.autocast("cpu", torch.bfloat16):
            _, state = compiled(windows.to(memory_format=torch.channels_last))
        return SnnState(
            {name: membrane.float() for name, membrane in state.membranes.items()},
            state.heatmaps.float(),
            None if state.velocity is None else state.velocity.float(),
        )

    try:
        forward(calibration[0])
    except RuntimeError as error:  # there is no C++ compiler, or none that it can use
        raise PeerMissingError(f"torch.compile failed ({error})") from error
    return forward


def _onnxruntime(
    network: HybridPoseNetwork, calibration: Sequence[Tensor], *, int8: bool
) -> Forward:
    """ONNX Runtime; int8 quantises the convolutions, weights per channel."""
    onnxruntime, _ = _library("onnxruntime"), _library("onnx")
    convolutions = Convolutions(network)
    with tempfile.TemporaryDirectory(prefix="hybrid-pose-bench-") as folder:
        path = Path(folder, "float32.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that shapes become constants
            torch.onnx.export(
                convolutions,
                (convolutions.example(),),
                str(path),
                input_names=["windows"],
                dynamo=False,
            )
        if int8:
            path = _quantised(path, calibration)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(str(path), options)
    return lambda windows: convolutions.state(session.run(None, {"windows": windows.numpy()}))


def _quantised(path: Path, calibration: Sequence[Tensor]) -> Path:
    quantization = _library("onnxruntime.quantization")

    class Inputs(quantization.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._left: Iterator[Tensor] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            windows = next(self._left, None)
            return None if windows is None else {"windows": windows.numpy()}

    prepared, result = path.with_stem("prepared"), path.with_stem("int8")
    quantization.quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantization.quantize_static(
        prepared, result, Inputs(), per_channel=True, op_types_to_quantize=["Conv"]
    )
    return result


def _openvino_int8(network: HybridPoseNetwork, calibration: Sequence[Tensor]) -> Forward:
    """OpenVINO on the model that NNCF quantises, the rest in bfloat16."""
    convolutions = Convolutions(network)
    model = openvino_model(convolutions)
    nncf = _library("nncf")
    data = nncf.Dataset([windows.numpy() for windows in calibration])
    model = nncf.quantize(model, data, preset=nncf.QuantizationPreset.MIXED)
    return openvino_forward(convolutions, model, "bfloat16")


def _own(
    network: HybridPoseNetwork, calibration: Sequence[Tensor], *, runtime: str, precision: str
) -> Forward:
    return make_forward(network, runtime, precision)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerMissingError(
            f"{name} cannot be imported ({error}); install it with "
            "`pip install --no-deps -r requirements-bench.txt`"
        ) from error


WAYS: Final[dict[str, _Build]] = {
    REFERENCE: partial(_own, runtime="torch", precision="float32"),
    "torch_bfloat16": partial(_own, runtime="torch", precision="bfloat16"),
    "torch_compile": _compiled,
    "onnxruntime_float32": partial(_onnxruntime, int8=False),
    "onnxruntime_int8": partial(_onnxruntime, int8=True),
    "openvino_float32": partial(_own, runtime="openvino", precision="float32"),
    "openvino_bfloat16": partial(_own, runtime="openvino", precision="bfloat16"),
    "openvino_int8": _openvino_int8,
}
"""Runtime and precision -> what builds it from the network and inputs to calibrate on."""
