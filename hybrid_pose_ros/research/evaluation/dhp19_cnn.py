# SPDX-License-Identifier: Apache-2.0
"""The per-frame CNN of DHP19's authors, and other networks of its layout.

Calabrese et al., "DHP19: Dynamic Vision Sensor 3D Human Pose Dataset", CVPRW 2019. Its weights are
not part of this package; `DHP_CNN.model` of the data set's repository is read where it lies. It
was trained on the real recordings, where its 2D error is 7.7 px. The network has 218,592
parameters and no biases.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.dhp19.hdf5 import check_stored
from hybrid_pose_ros.skeleton import NUM_JOINTS

CNN_EVENTS: Final = 7500
"""Events of one camera in its image: a fourth of what its authors take from all four."""

CNN_SIZE: Final = (344, 260)
"""Width and height of its input and of its heatmaps, in pixels from the sensor's first one."""

# name, output channels, dilation, upsampling; every layer is 3x3 and followed by a ReLU
_LAYERS: Final = (
    ("conv1", 16, 1, False),
    ("pool", 0, 0, False),
    ("conv2a", 32, 1, False),
    ("conv2b", 32, 1, False),
    ("conv2d", 32, 1, False),
    ("pool", 0, 0, False),
    ("conv3a", 64, 2, False),
    ("conv3b", 64, 2, False),
    ("conv3c", 64, 2, False),
    ("conv3d", 64, 2, False),
    ("conv3_up", 32, 1, True),
    ("conv4a", 32, 2, False),
    ("conv4b", 32, 2, False),
    ("conv4c", 32, 2, False),
    ("conv4d", 32, 2, False),
    ("conv4_up", 16, 1, True),
    ("conv5a", 16, 1, False),
    ("conv5d", 16, 1, False),
    ("pred_cube", NUM_JOINTS, 1, False),
)


class CnnError(UserError):
    """The CNN's file cannot be read; the message names it."""


class Dhp19Cnn(nn.Module):
    """The network; :func:`load_dhp19_cnn` gives it its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.ParameterDict()
        channels = 1
        for name, width, _, up in _LAYERS:
            if name != "pool":
                shape = (channels, width, 3, 3) if up else (width, channels, 3, 3)
                self.kernels[name] = nn.Parameter(torch.zeros(shape))
                channels = width

    def forward(self, images: Tensor) -> Tensor:
        """Map count images [N, 1, H, W] (0 to 255, H and W multiples of 4) to heatmaps."""
        x = images
        for name, _, dilation, up in _LAYERS:
            if name == "pool":
                x = max_pool2d(x, 2)
            elif up:
                # Keras' "same" keeps the first 2n of the 2n + 1 rows and columns
                x = conv_transpose2d(x, self.kernels[name], stride=2)[..., :-1, :-1].relu()
            else:
                x = conv2d(x, self.kernels[name], padding=dilation, dilation=dilation).relu()
        return x


def load_dhp19_cnn(path: Path) -> Dhp19Cnn:
    """Read the weights of a network of this layout.

    A ``.pt``, ``.pth`` or ``.safetensors`` holds the kernels as torch has them; all else is HDF5
    as Keras writes it, such as the published file. Layers are found by the published names, or
    by their order where they have others.

    Raises:
        CnnError: there is no such file, or it does not hold such a network.
    """
    if not path.is_file():
        raise CnnError(f"{path}: no such file")
    cnn = Dhp19Cnn()
    read = {".pt": _read_torch, ".pth": _read_torch, ".safetensors": _read_safetensors}
    stored = read.get(path.suffix, _read_keras)(path)
    names = list(cnn.kernels)
    if set(stored) != set(names):
        if len(stored) != len(names):
            absent = next((name for name in names if name not in stored), "of any other name")
            raise CnnError(
                f"{path}: holds {len(stored)} arrays instead of {len(names)} kernels, no layer "
                f"{absent}; it has not the layout of DHP19's CNN"
            )
        stored = dict(zip(names, stored.values(), strict=True))
    for name, parameter in cnn.kernels.items():
        if stored[name].shape != parameter.shape:
            raise CnnError(
                f"{path}: layer {name} has the shape {tuple(stored[name].shape)}, "
                f"not {tuple(parameter.shape)}; it has not the layout of DHP19's CNN"
            )
        if not stored[name].isfinite().all():
            raise CnnError(f"{path}: layer {name} has weights that are no numbers; copy it again")
        parameter.data = stored[name].float()
    return cnn.eval().requires_grad_(False)


def _read_keras(path: Path) -> dict[str, Tensor]:
    """Kernels of a Keras file, a whole model or weights alone, in the order of the layers."""
    kernels = {}
    try:
        with h5py.File(path) as file:
            layers = file.get("model_weights", file)
            names = [
                name.decode() if isinstance(name, bytes) else name
                for name in layers.attrs.get("layer_names", list(layers))
            ]
            for name in names:
                found = _datasets(layers[name])
                if len(found) > 1 or (found and found[0].ndim != 4):
                    raise CnnError(f"{path}: layer {name} is no convolution without bias")
                if found:
                    check_stored(found[0])
                    # [row, column, in, out]; transposed ones [row, column, out, in]
                    kernels[name] = torch.from_numpy(
                        np.asarray(found[0]).transpose(3, 2, 0, 1).copy()
                    )
    except CnnError:
        raise
    except Exception as error:  # whatever h5py raises of damaged bytes
        words = " ".join(str(error).split())
        raise CnnError(f"{path}: cannot be read as a network in HDF5 ({words})") from error
    return kernels


def _datasets(group: h5py.Group) -> list[h5py.Dataset]:
    """All arrays in a group and in the groups in it."""
    found = []

    def keep(_: str, part: h5py.Group | h5py.Dataset) -> None:
        if isinstance(part, h5py.Dataset):
            found.append(part)

    group.visititems(keep)
    return found


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        raise CnnError(f"{path}: cannot be read as weights in torch's format") from error
    if not isinstance(stored, dict) or not all(isinstance(v, Tensor) for v in stored.values()):
        raise CnnError(f"{path}: holds no dictionary of tensors (a state_dict)")
    return _layers(stored)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return _layers(load_file(path))
    except (OSError, SafetensorError) as error:
        raise CnnError(f"{path}: cannot be read as safetensors ({error})") from error


def _layers(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Kernels by layer: ``kernels.conv1`` and ``conv1.weight`` are ``conv1``."""
    return {
        name.removeprefix("kernels.").removesuffix(".weight"): kernel
        for name, kernel in stored.items()
    }


def count_image(events: EventArray) -> NDArray[np.float32]:
    """Return the network's input, [260, 344]: events per pixel, scaled to 0..255.

    Polarity is ignored. Three standard deviations of the counts of pixels with events, and all
    above, become 255.
    """
    width, height = CNN_SIZE
    inside = events[(events["x"] < width) & (events["y"] < height)]
    flat = inside["y"].astype(np.int64) * width + inside["x"]
    counts = np.bincount(flat, minlength=width * height).reshape(height, width)
    seen = counts[counts > 0]
    sigma = float(seen.std(ddof=1)) if len(seen) > 1 else 0.0
    if sigma == 0.0:  # all counts are equal: each is beyond any number of deviations
        return np.where(counts > 0, np.float32(255), np.float32(0))
    return np.floor(np.minimum(255.0, counts * (255.0 / (3.0 * sigma)))).astype(np.float32)
