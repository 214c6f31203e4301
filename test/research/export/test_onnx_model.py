# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime computes what the ANN and the initialiser do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.networks.config import SPIKING_LAYERS
from hybrid_pose_ros.research.export.onnx_model import write_onnx


@torch.no_grad()
def test_initial_states_are_those_of_the_network(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = load_checkpoint()
    path = tmp_path / "edge.onnx"
    write_onnx(model, path)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["model"].endswith(model.digest)
    view, planes = model.config.view, model.config.ann.input_planes
    shape = (1, planes, view.grid_height, view.grid_width)
    windows = np.random.default_rng(0).exponential(0.5, shape).astype(np.float32)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {"windows": windows}), strict=True))
    heatmaps, state = model.network.initial_state(torch.from_numpy(windows))
    expected = {"heatmaps": heatmaps}
    expected |= {f"membrane_{name}": state.membranes[name] for name in SPIKING_LAYERS}
    if state.velocity is not None:
        expected["velocity"] = state.velocity
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), atol=1e-4, err_msg=name)
