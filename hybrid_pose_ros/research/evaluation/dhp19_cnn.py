# SPDX-License-Identifier: Apache-2.0
"""The per-frame CNN that the authors of DHP19 trained on the real recordings and published.

Calabrese et al., "DHP19: Dynamic Vision Sensor 3D Human Pose Dataset", CVPRW 2019. Its weights are
not part of this package; `DHP_CNN.model` of the data set's repository is read where it lies. The
network has 218,592 parameters and no biases; on the recordings its 2D error is 7.7 px.
"""

from pathlib import Path
from typing import Final

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, max_pool2d

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.skeleton import NUM_JOINTS

CNN_SIZE: Final = (344, 260)
"""Width and height of its input and of its heatmaps, in pixels from the sensor's first one."""

PUBLISHED_PX: Final = 7.7
"""Its 2D error on the real recordings."""

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
    """Read the published file (Keras 2, HDF5).

    Raises:
        CnnError: there is no such file, or it does not hold this network.
    """
    cnn = Dhp19Cnn()
    try:
        with h5py.File(path) as file:
            for name, parameter in cnn.kernels.items():
                place = f"model_weights/{name}/{name}/kernel:0"
                if place not in file:
                    raise CnnError(f"{path}: has no layer {name}; it is not DHP19's CNN")
                stored = np.asarray(file[place])
                # [row, column, in, out]; transposed ones [row, column, out, in]
                kernel = torch.from_numpy(stored.transpose(3, 2, 0, 1).copy())
                if kernel.shape != parameter.shape:
                    raise CnnError(
                        f"{path}: layer {name} has the shape {tuple(kernel.shape)}, "
                        f"not {tuple(parameter.shape)}; it is not DHP19's CNN"
                    )
                parameter.data = kernel
    except OSError as error:
        raise CnnError(f"{path}: cannot be read as HDF5 ({error})") from error
    return cnn.eval().requires_grad_(False)


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
