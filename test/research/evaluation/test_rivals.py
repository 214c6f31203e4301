# SPDX-License-Identifier: Apache-2.0
"""Other ways to a pose at every step, and the table of them."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.networks.checkpoint import Checkpoint, save_checkpoint
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.dhp19_cnn import Dhp19Cnn
from hybrid_pose_ros.research.evaluation.rivals import KalmanFilter, compare_rivals


def test_the_filter_follows_a_constant_velocity() -> None:
    kalman = KalmanFilter(acceleration=1500.0, measurement=3.0)
    start, velocity = np.full((13, 2), 50.0), np.tile((120.0, -40.0), (13, 1))
    kalman.measure(start)
    for k in range(1, 21):
        predicted = kalman.predict(0.05)
        if k < 20:
            kalman.measure(start + velocity * 0.05 * k)
    np.testing.assert_allclose(predicted, start + velocity * 1.0, atol=0.1)


def test_the_filter_weighs_a_measurement_by_its_noise() -> None:
    kalman = KalmanFilter(acceleration=0.0, measurement=2.0)
    kalman.measure(np.zeros((13, 2)))
    kalman.measure(np.full((13, 2), 8.0))  # as sure as the first
    np.testing.assert_allclose(kalman.predict(0.0), 4.0)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    count = 20_000
    times = np.sort(rng.integers(0, 1_000_000_000, count))
    path = tmp_path_factory.mktemp("rivals") / "noise.npz"
    events = make_events(
        times, rng.integers(0, 346, count), rng.integers(0, 260, count), rng.random(count) < 0.5
    )
    np.savez(
        path,
        t_us=events["t"] // 1000,
        x=events["x"],
        y=events["y"],
        p=events["polarity"].astype(np.uint8),
        width=346,
        height=260,
    )
    return path


def test_all_methods_stand_beside_the_ann(
    small_network: HybridPoseNetwork, recording: Path, tmp_path: Path
) -> None:
    weights, out = tmp_path / "small.safetensors", tmp_path / "compare.json"
    save_checkpoint(weights, small_network, {})
    arguments = ["compare", str(recording), "--checkpoint", str(weights), "--json", str(out)]
    assert main(arguments) == 0
    figures = json.loads(out.read_text())
    assert figures["reference"] == "ann"
    assert list(figures["methods"]) == ["ann", "hybrid", "ann_held", "ann_kalman"]
    assert figures["methods"]["ann"]["100"]["error_px"] == 0.0
    for name in ("hybrid", "ann_held", "ann_kalman"):
        assert list(figures["methods"][name]) == ["50", "20", "10", "5", "2"]
    errors = [found["error_px"] for found in figures["methods"]["ann_held"].values()]
    assert errors[0] < errors[-1]


def cnn_that_finds_the_brightest_pixel(path: Path) -> Path:
    """Every layer hands its first channel on, to the first joint."""
    with h5py.File(path, "w") as file:
        for name, parameter in Dhp19Cnn().kernels.items():
            first, second, rows, columns = parameter.shape
            kernel = np.zeros((rows, columns, second, first), np.float32)
            kernel[(*((0, 0) if name.endswith("_up") else (1, 1)), 0, 0)] = 1.0
            file[f"model_weights/{name}/{name}/kernel:0"] = kernel
    return path


def test_the_cnn_stands_beside_the_others_in_table_and_plot(
    small_network: HybridPoseNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    head = (120, 40)  # flickers among noise
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 346, 20_000), rng.integers(0, 260, 20_000)
    x[::4], y[::4] = head
    labels = np.full((11, 13, 2), np.nan)
    labels[:, 0] = head
    path, out = tmp_path / "flicker.npz", tmp_path / "compare.json"
    np.savez(
        path,
        t_us=np.arange(20_000) * 50,
        x=x,
        y=y,
        p=rng.integers(0, 2, 20_000),
        width=346,
        height=260,
        gt_t_us=np.arange(11) * 100_000,
        gt=labels,
    )
    weights = tmp_path / "small.safetensors"
    save_checkpoint(weights, small_network, {})
    cnn = cnn_that_finds_the_brightest_pixel(tmp_path / "DHP_CNN.model")
    words = ["compare", str(path), "--checkpoint", str(weights), "--cnn", str(cnn)]
    assert main([*words, "--json", str(out), "--plot", str(tmp_path)]) == 0
    figures = json.loads(out.read_text())
    assert figures["reference"] == "labels"
    for found in figures["methods"]["dhp19_cnn"].values():
        assert found["error_px"] < 0.01
    assert figures["methods"]["hybrid"]["10"]["error_px"] > 10.0
    said = capsys.readouterr().out
    assert "DHP19" in said and "errors against the labels" in said
    (plot,) = tmp_path.glob("compare*.svg")
    assert "runs of the network per second" in plot.read_text()


def test_the_cnn_refuses_another_sensor(small_network: HybridPoseNetwork) -> None:
    events = make_events([0, 900_000_000], [1, 2], [1, 2], [True, False])
    model = Checkpoint(small_network, "", {})
    with pytest.raises(ValueError, match="reads sensors of 346x260 pixels, not 640x480"):
        compare_rivals(events, 640, 480, model, labels=None, cnn=Dhp19Cnn())


def test_a_recording_that_is_too_short_is_refused(small_network: HybridPoseNetwork) -> None:
    events = make_events([0, 50_000_000], [1, 2], [1, 2], [True, False])
    with pytest.raises(ValueError, match=r"too short: poses count after 0\.6 s"):
        compare_rivals(events, 346, 260, Checkpoint(small_network, "", {}), labels=None, cnn=None)
