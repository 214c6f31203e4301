# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: any damage is one error that names the file and the remedy."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hybrid_pose_ros.networks.checkpoint import (
    FORMAT,
    Checkpoint,
    CheckpointError,
    _digest,
    load_checkpoint,
    save_checkpoint,
)
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE), {"note": "untrained"})
    return path.read_bytes()


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    (size,) = struct.unpack_from("<Q", content)
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def join(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def load(path: Path, content: bytes) -> Checkpoint:
    path.write_bytes(content)
    return load_checkpoint(path)


def check_sentence(error: Exception, name: str) -> None:
    assert name in str(error) and "\n" not in str(error)


def assert_refused(path: Path, content: bytes) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(path, content)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


Metadata = dict[str, str]


def without(key: str) -> Callable[[Metadata], None]:
    return lambda metadata: metadata.pop(key) and None


def with_value(key: str, value: str) -> Callable[[Metadata], None]:
    return lambda metadata: metadata.update({key: value})


NESTED = "[" * 100_000

CHANGES = {
    **{f"no {key}": without(key) for key in ("format", "config", "digest", "summary")},
    "variant without base": with_value("variant", "snn"),
    "summary is no JSON": with_value("summary", "{"),
    "summary is a list": with_value("summary", "[]"),
    "summary is nested": with_value("summary", NESTED),
    "config is no JSON": with_value("config", "{"),
    "config is a list": with_value("config", "[]"),
    "config is null": with_value("config", "null"),
    "config is nested": with_value("config", NESTED),
    "config is empty": with_value("config", "{}"),
    "digest of another": with_value("digest", "0" * 16),
}


@pytest.mark.parametrize("right_digest", [False, True])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_damaged_metadata_is_refused(
    tmp_path: Path, content: bytes, change: Callable[[Metadata], None], right_digest: bool
) -> None:
    header, data = split(content)
    metadata = header["__metadata__"]
    old = dict(metadata)
    change(metadata)
    if right_digest and metadata.get("config", old["config"]) != old["config"]:
        whole = tmp_path / "whole.safetensors"
        whole.write_bytes(content)
        metadata["digest"] = _digest(metadata["config"], load_file(whole))
    assert_refused(tmp_path / "model.safetensors", join(header, data))


@pytest.mark.parametrize("replacement", ["x", None, [], {}, 1e308, [1, "a"], {"a": {}}], ids=repr)
def test_wrong_types_in_the_configuration_are_refused(
    tmp_path: Path, content: bytes, replacement: object
) -> None:
    """With a digest that fits, so that the configuration itself is what is looked at."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    tensors = load_file(path)
    config = EDGE.to_dict()
    for key in ("view", "ann", "snn", "step_ns"):
        text = json.dumps(config | {key: replacement})
        metadata = {"format": FORMAT, "config": text, "summary": "{}"}
        save_file(tensors, path, metadata | {"digest": _digest(text, tensors)})
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["BF16", "F32", "I16", "F8_E4M3", "X", ""])
def test_tensors_of_another_type_are_refused(tmp_path: Path, content: bytes, dtype: str) -> None:
    header, data = split(content)
    for entry in header.values():
        if entry.get("dtype") == "F16":
            entry["dtype"] = dtype
    assert_refused(tmp_path / "model.safetensors", join(header, data))


@pytest.mark.parametrize("change", ["missing", "more", "transposed"])
def test_other_tensors_are_refused(tmp_path: Path, content: bytes, change: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    tensors = load_file(path)
    name = next(name for name, value in tensors.items() if value.ndim == 4)
    if change == "missing":
        del tensors[name]
    elif change == "more":
        tensors["more"] = torch.zeros(3)
    else:
        tensors[name] = tensors[name].transpose(0, 1).contiguous()
    text = json.dumps(EDGE.to_dict(), sort_keys=True)
    metadata = {"format": FORMAT, "config": text, "summary": "{}"}
    save_file(tensors, path, metadata | {"digest": _digest(text, tensors)})
    with pytest.raises(CheckpointError, match="the weights do not fit the network"):
        load_checkpoint(path)


def test_flipped_and_cut_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    """Most of them in the header, where damage reaches the most code."""
    rng = np.random.default_rng(0)
    header = 8 + struct.unpack_from("<Q", content)[0]
    path = tmp_path / "model.safetensors"
    for turn in range(60):
        changed = bytearray(content)
        end = header if turn % 5 else len(content)
        changed[int(rng.integers(end))] ^= 1 << int(rng.integers(8))
        try:
            load(path, bytes(changed))
        except CheckpointError as error:
            check_sentence(error, str(path))
    for cut in rng.integers(0, len(content), 20).tolist():
        assert_refused(path, content[:cut])
