# SPDX-License-Identifier: Apache-2.0
"""DHP19's CNN: its layers as Keras stores them, and its input."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.research.evaluation.dhp19_cnn import (
    CnnError,
    Dhp19Cnn,
    count_image,
    load_dhp19_cnn,
)


def stored_shape(name: str, parameter: torch.Tensor) -> tuple[int, int, int, int]:
    """As Keras has it: rows, columns, in, out; transposed ones rows, columns, out, in."""
    first, second, rows, columns = parameter.shape
    return rows, columns, second, first


def write_cnn(path: Path, kernels: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for name, kernel in kernels.items():
            file[f"model_weights/{name}/{name}/kernel:0"] = kernel
    return path


def passing_kernels() -> dict[str, np.ndarray]:
    """Every layer hands its first channel on unchanged."""
    kernels = {}
    for name, parameter in Dhp19Cnn().kernels.items():
        kernels[name] = np.zeros(stored_shape(name, parameter), np.float32)
        tap = (0, 0) if name.endswith("_up") else (1, 1)
        kernels[name][(*tap, 0, 0)] = 1.0
    return kernels


def impulse(row: int, column: int) -> torch.Tensor:
    image = torch.zeros(1, 1, 260, 344)
    image[0, 0, row, column] = 7.0
    return image


def peak(heatmaps: torch.Tensor) -> tuple[int, int]:
    assert heatmaps.shape == (1, 13, 260, 344)
    assert heatmaps.sum() == heatmaps[0, 0].max() == 7.0
    row, column = divmod(int(heatmaps[0, 0].argmax()), 344)
    return row, column


def test_size_is_the_published_one() -> None:
    assert sum(parameter.numel() for parameter in Dhp19Cnn().parameters()) == 218_592


def test_pixels_keep_their_place(tmp_path: Path) -> None:
    cnn = load_dhp19_cnn(write_cnn(tmp_path / "cnn", passing_kernels()))
    assert peak(cnn(impulse(120, 208))) == (120, 208)


@pytest.mark.parametrize(
    ("layer", "tap", "start", "found"),
    [
        ("conv1", (0, 1), (123, 208), (124, 208)),  # one row down
        ("conv2a", (1, 0), (120, 210), (120, 212)),  # one column of two pixels to the right
        ("conv3a", (1, 2), (120, 208), (120, 200)),  # dilated: two of four pixels to the left
        ("conv4_up", (1, 0), (120, 208), (121, 208)),
        ("conv4_up", (0, 2), (120, 208), (120, 210)),
        ("pred_cube", (2, 1), (120, 208), (119, 208)),
    ],
)
def test_kernels_are_read_the_right_way_round(
    layer: str,
    tap: tuple[int, int],
    start: tuple[int, int],
    found: tuple[int, int],
    tmp_path: Path,
) -> None:
    kernels = passing_kernels()
    kernels[layer][:] = 0.0
    kernels[layer][(*tap, 0, 0)] = 1.0
    cnn = load_dhp19_cnn(write_cnn(tmp_path / "cnn", kernels))
    assert peak(cnn(impulse(*start))) == found


def test_a_file_that_is_another_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(CnnError, match="absent"):
        load_dhp19_cnn(tmp_path / "absent")
    (tmp_path / "text").write_text("no HDF5")
    with pytest.raises(CnnError, match="text"):
        load_dhp19_cnn(tmp_path / "text")
    kernels = passing_kernels()
    kernels["conv2b"] = kernels["conv2b"][:, :, :5]
    with pytest.raises(CnnError, match="conv2b"):
        load_dhp19_cnn(write_cnn(tmp_path / "shape", kernels))
    del kernels["pred_cube"]
    kernels["conv2b"] = passing_kernels()["conv2b"]
    with pytest.raises(CnnError, match="pred_cube"):
        load_dhp19_cnn(write_cnn(tmp_path / "layer", kernels))


def test_weights_that_are_missing_or_no_numbers_are_refused(tmp_path: Path) -> None:
    kernels = passing_kernels()
    path = write_cnn(tmp_path / "cnn", kernels)
    with h5py.File(path, "a") as file:
        name = "model_weights/conv3a/conv3a/kernel:0"
        del file[name]
        file.create_dataset(name, kernels["conv3a"].shape, "f4")  # and nothing written
    with pytest.raises(CnnError, match=r"cnn: .*conv3a/kernel:0 was never written"):
        load_dhp19_cnn(path)
    kernels["conv2b"][1, 1, 0, 0] = np.nan
    with pytest.raises(CnnError, match=r"cnn: layer conv2b has weights that are no numbers"):
        load_dhp19_cnn(write_cnn(path, kernels))


def test_weights_of_torch_and_layers_of_other_names_are_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    cnn = Dhp19Cnn()
    for parameter in cnn.parameters():
        torch.nn.init.normal_(parameter)
    torch.save(cnn.state_dict(), tmp_path / "own.pt")
    others = {f"body.{k}.weight": kernel for k, kernel in enumerate(cnn.parameters())}
    torch.save(others, tmp_path / "other.pt")
    save_file({f"{k}.weight": v for k, v in cnn.kernels.items()}, tmp_path / "own.safetensors")
    names = [f"layer_{k}" for k in range(len(others))][::-1]  # not in order of the alphabet
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for name, (layer, kernel) in zip(names, cnn.kernels.items(), strict=True):
            assert stored_shape(layer, kernel) == tuple(kernel.permute(2, 3, 1, 0).shape)
            file[f"{name}/{name}/kernel:0"] = kernel.detach().permute(2, 3, 1, 0).numpy()
        file.create_group("input")
        file.attrs["layer_names"] = ["input", *names]
    for name in ("own.pt", "other.pt", "own.safetensors", "weights.h5"):
        read = load_dhp19_cnn(tmp_path / name)
        for layer, kernel in cnn.kernels.items():
            assert torch.equal(read.kernels[layer], kernel), (name, layer)


def test_weights_that_are_no_such_network_are_named(tmp_path: Path) -> None:
    torch.save({"one.weight": torch.zeros(16, 1, 3, 3)}, tmp_path / "small.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.safetensors").write_text("no safetensors")
    (tmp_path / "text.pt").write_text("no weights")
    with_bias = {f"{k}.weight": v for k, v in Dhp19Cnn().kernels.items()}
    torch.save(with_bias | {"conv1.bias": torch.zeros(16)}, tmp_path / "bias.pt")
    for path in tmp_path.iterdir():
        with pytest.raises(CnnError, match=path.name):
            load_dhp19_cnn(path)


def test_the_published_file_can_be_read() -> None:
    path = Path(os.environ.get("HYBRID_POSE_DATA", "")) / "dhp19" / "DHP_CNN.model"
    if not path.is_file():
        pytest.skip("HYBRID_POSE_DATA names no folder with dhp19/DHP_CNN.model")
    kernels = load_dhp19_cnn(path).kernels
    assert all(float(kernel.abs().max()) > 0.01 for kernel in kernels.values())


def test_counts_are_scaled_by_three_deviations() -> None:
    # pixels with 1, 2 and 6 events: mean 3, sample deviation sqrt(7)
    x = np.repeat([0, 10, 343], [1, 2, 6])
    events = make_events(np.arange(9), x, np.full(9, 259), np.arange(9) % 2 == 0)
    image = count_image(events)
    assert image.shape == (260, 344)
    scale = 255 / (3 * np.sqrt(7))
    assert image[259, [0, 10, 343]].tolist() == [
        np.floor(1 * scale),
        np.floor(2 * scale),
        np.floor(6 * scale),
    ]
    assert image.sum() == image[259, [0, 10, 343]].sum()


def test_counts_saturate_and_the_last_columns_are_cut_off() -> None:
    x = np.concatenate((np.arange(40), np.full(90, 50), np.full(5, 344), np.full(5, 345)))
    events = make_events(np.arange(140), x, np.zeros(140), np.zeros(140, bool))
    image = count_image(events)
    assert image[0, 50] == 255
    assert 0 < image[0, 0] < 255


def test_equal_counts_are_as_bright_as_can_be() -> None:
    events = make_events(np.arange(3), np.array((4, 5, 6)), np.zeros(3), np.zeros(3, bool))
    assert count_image(events)[0, 3:8].tolist() == [0, 255, 255, 255, 0]
    assert not count_image(events[:0]).any()
