# SPDX-License-Identifier: Apache-2.0
"""The runtimes of the ANN compute what the network does, to what their precision allows."""

import copy
import importlib.util
import sys

import numpy as np
import pytest
import torch
from torch import Tensor

from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import EDGE, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.networks.layers import fold_batchnorm
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_runtime import (
    RuntimeMissingError,
    chosen_precision,
    make_forward,
)

PRECISIONS = {"float32": 1e-5, "bfloat16": 0.02}
"""Precision -> the largest error of a tensor, relative: root mean square over that of it."""


needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)


@pytest.fixture(params=["torch", pytest.param("openvino", marks=needs_openvino)])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def inputs() -> list[Tensor]:
    """Input planes as of few events and of many."""
    rng = np.random.default_rng(3)
    shape = (1, EDGE.ann.input_planes, 65, 87)
    return [torch.from_numpy(rng.poisson(mean, shape).astype(np.float32)) for mean in (0.05, 3.0)]


def untrained(variant: str | None = None) -> HybridPoseNetwork:
    """A network that leaves something of its input, BatchNorm folded."""
    torch.manual_seed(0)
    network = HybridPoseNetwork(EDGE if variant is None else variant_of(EDGE, variant))
    with torch.no_grad():
        network.ann.head.conv.weight.normal_(std=0.1)
        network.ann.head.conv.bias.uniform_(0.1, 0.4)
        if network.config.snn.motion:
            network.motion.readout.weight.normal_()
    fold_batchnorm(network.eval())
    return network


def tensors(state: SnnState) -> dict[str, Tensor]:
    """All tensors of a state, copied."""
    found = {**state.membranes, "heatmaps": state.heatmaps}
    if state.velocity is not None:
        found["velocity"] = state.velocity
    return {name: tensor.clone() for name, tensor in found.items()}


def errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Root mean square difference over the root mean square, or the former where all is zero."""
    assert found.keys() == expected.keys()
    return {
        name: float((found[name] - want).norm() / (want.norm() or 1.0))
        for name, want in expected.items()
    }


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("variant", [None, "no_init", "no_delta"])
def test_the_state_is_the_networks(
    runtime: str, precision: str, variant: str | None, inputs: list[Tensor]
) -> None:
    network = untrained(variant)
    forward = make_forward(copy.deepcopy(network), runtime, precision)
    with torch.inference_mode():
        for windows in inputs:
            found = tensors(forward(windows))
            wrong = errors(found, tensors(network.initial_state(windows)[1]))
            assert all(tensor.dtype == torch.float32 for tensor in found.values())
            assert max(wrong.values()) < PRECISIONS[precision], wrong
            if precision == "bfloat16" and chosen_precision("auto") == "bfloat16":
                assert wrong["heatmaps"] > 1e-4  # else it was computed in float32


def test_an_answer_depends_on_its_own_input_only(runtime: str, inputs: list[Tensor]) -> None:
    forward = make_forward(untrained(), runtime, "float32")
    with torch.inference_mode():
        first, other, again = (tensors(forward(inputs[i])) for i in (0, 1, 0))
    assert all(torch.equal(first[name], tensor) for name, tensor in again.items())
    assert not any(torch.equal(first[name], tensor) for name, tensor in other.items())


def test_the_estimator_sends_the_state_of_its_runtime(runtime: str, inputs: list[Tensor]) -> None:
    network = untrained()
    view = EDGE.view.fit(346, 260)
    checkpoint = Checkpoint(network, "0123456789abcdef", {})
    expected = AnnEstimator(checkpoint, view, precision="float32").infer((inputs[1][0].numpy(), 0))
    estimator = AnnEstimator(checkpoint, view, runtime, "bfloat16")
    assert (estimator.runtime, estimator.precision) == (runtime, "bfloat16")
    found = estimator.infer((inputs[1][0].numpy(), 0))
    assert [t.name for t in found.tensors] == [t.name for t in expected.tensors]
    for a, b in zip(found.tensors, expected.tensors, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.dtype == "uint8_affine":
            apart = np.frombuffer(a.data, np.uint8) - np.frombuffer(b.data, np.uint8).astype(int)
            assert np.abs(apart).mean() < 2.0, a.name  # codes


@pytest.mark.parametrize(
    ("features", "precision"),
    [
        ({"avx512_f": True, "avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"architecture": "aarch64"}, "float32"),
    ],
)
def test_the_precision_suits_the_processor(
    features: dict[str, object], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: features)
    assert chosen_precision("auto") == precision
    assert chosen_precision("float32") == "float32"
    assert chosen_precision("bfloat16") == "bfloat16"


def test_a_runtime_that_is_not_installed_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(RuntimeMissingError, match=r"openvino.*requirements-openvino\.txt"):
        make_forward(untrained(), "openvino", "float32")


@needs_openvino
def test_openvino_reports_to_nobody() -> None:
    make_forward(untrained(), "openvino", "float32")
    assert sys.modules["openvino_telemetry"] is None  # cannot be imported
