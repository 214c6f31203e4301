# SPDX-License-Identifier: Apache-2.0
"""The SNN's state as bytes.

Maps take 8 bits per value, two fifths of a percent of a tensor's range. The velocities, which are
few and add up over the steps, take 16.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hybrid_pose_ros.networks.config import HEATMAPS, SPIKING_LAYERS, VELOCITY
from hybrid_pose_ros.networks.snn import SnnState
from hybrid_pose_ros.pipeline.state import EncodedTensor, InitRejectedError

LIMIT = 1e6
"""No value of a state comes near it; larger ones would overflow where they are averaged."""

_CODES = 255


def encode_affine(name: str, values: Tensor) -> EncodedTensor:
    """Encode a tensor [1, ...] in 8 bits per value; the error is at most half a code."""
    array = values[0].contiguous().numpy()  # ten times as fast as with channels last
    low, high = float(array.min()), float(array.max())
    scale = float(np.float32((high - low) / _CODES)) or 1.0
    offset = float(np.float32(low))
    codes = array - np.float32(offset)
    codes /= np.float32(scale)
    codes = np.rint(codes, out=codes).astype(np.uint8)
    return EncodedTensor(name, array.shape, "uint8_affine", scale, offset, codes.tobytes())


def encode_half(name: str, values: Tensor) -> EncodedTensor:
    """Encode a tensor [1, ...] in half precision."""
    array = values[0].numpy().astype("<f2")
    return EncodedTensor(name, array.shape, "float16", 1.0, 0.0, array.tobytes())


def decode_tensor(encoded: EncodedTensor) -> Tensor:
    """Decode to float32, with a first axis of one sample.

    Raises:
        InitRejectedError: unknown code, wrong number of bytes, or values that are not finite or
            beyond :data:`LIMIT`.
    """
    itemsize = {"uint8_affine": 1, "float16": 2}.get(encoded.dtype)
    if itemsize is None:
        raise InitRejectedError(f"tensor {encoded.name} has the unknown dtype {encoded.dtype!r}")
    expected = math.prod(encoded.shape) * itemsize  # exact, however large the numbers are
    if len(encoded.data) != expected:
        raise InitRejectedError(
            f"tensor {encoded.name} has {len(encoded.data)} bytes, "
            f"its shape {encoded.shape} needs {expected}"
        )
    if encoded.dtype == "uint8_affine":
        values = np.frombuffer(encoded.data, np.uint8).astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):  # which is looked for below
            values *= np.float32(encoded.scale)
            values += np.float32(encoded.offset)
    else:
        values = np.frombuffer(encoded.data, "<f2").astype(np.float32)
    if not (np.abs(values) <= LIMIT).all():
        raise InitRejectedError(
            f"tensor {encoded.name} holds values that are not finite or too large"
        )
    return torch.from_numpy(values.reshape(1, *encoded.shape))


def encode_state(state: SnnState) -> tuple[EncodedTensor, ...]:
    """Encode the membranes in layer order, then the heatmaps and, where there are, velocities."""
    membranes = (encode_affine(name, state.membranes[name]) for name in SPIKING_LAYERS)
    maps = (*membranes, encode_affine(HEATMAPS, state.heatmaps))
    return maps if state.velocity is None else (*maps, encode_half(VELOCITY, state.velocity))


def decode_state(
    tensors: tuple[EncodedTensor, ...], shapes: Mapping[str, tuple[int, ...]]
) -> SnnState:
    """Decode a state whose tensors have these names and shapes (those of one sample).

    Raises:
        InitRejectedError: a tensor is missing, unexpected, of another shape, or damaged.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    if by_name.keys() != shapes.keys() or len(tensors) != len(shapes):
        raise InitRejectedError(
            f"its tensors are {sorted(t.name for t in tensors)}, not {sorted(shapes)}"
        )
    for name, tensor in by_name.items():
        if tuple(tensor.shape) != shapes[name]:
            raise InitRejectedError(f"tensor {name} has shape {tensor.shape}, not {shapes[name]}")
    membranes = {name: decode_tensor(by_name[name]) for name in SPIKING_LAYERS}
    velocity = decode_tensor(by_name[VELOCITY]) if VELOCITY in shapes else None
    return SnnState(membranes, decode_tensor(by_name[HEATMAPS]), velocity)
