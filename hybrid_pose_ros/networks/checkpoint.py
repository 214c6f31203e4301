# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: one safetensors file with weights, configuration and training summary.

The weights are stored as float16 and computed with as float32, so that a file is half as large
and every machine starts from the same values. The digest covers everything that a pose depends
on: the configuration and the stored weights.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.networks.config import VARIANTS, ModelConfig, variant_of
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.regular_files import find_obstacle

FORMAT = "hybrid_pose_ros/2"

_REMEDY = "fetch or train it again"
_MAX_REASON = 500


class CheckpointError(UserError):
    """A checkpoint cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model.

    Attributes:
        network: in evaluation mode, float32, BatchNorm not folded.
        digest: 16 hexadecimal digits that identify configuration and weights.
        summary: how it was trained and what it scored, as written by the trainer.
    """

    network: HybridPoseNetwork
    digest: str
    summary: Mapping[str, Any]

    @property
    def config(self) -> ModelConfig:
        """The configuration of the network."""
        return self.network.config


def shipped_checkpoint() -> Path:
    """Return the path of the `edge` weights that come with the package."""
    return Path(str(files("hybrid_pose_ros") / "weights" / "edge.safetensors"))


def variant_path(folder: Path, config: ModelConfig, name: str) -> Path:
    """Where the variant of a model lies, beside its checkpoint."""
    return folder / f"{config.name}_{name}.safetensors"


def save_variant(path: Path, network: HybridPoseNetwork, base: Checkpoint, name: str) -> None:
    """Write what a variant does not share with the checkpoint it is compared with: not the ANN."""
    tensors = {key: value for key, value in _stored(network).items() if not key.startswith("ann.")}
    _write(path, tensors, {"format": FORMAT, "variant": name, "base": base.digest})


def load_variant(
    name: str, base: Checkpoint, folder: Path | None = None
) -> HybridPoseNetwork | None:
    """Read a variant of a checkpoint, by default from beside the shipped weights.

    Args:
        name: one of :data:`~hybrid_pose_ros.networks.config.VARIANTS`.
        base: the checkpoint whose ANN the variant was trained on.
        folder: another place of the file.

    Returns:
        the network in evaluation mode, or None where there is no such file.

    Raises:
        CheckpointError: the file is damaged, or belongs to another checkpoint.
    """
    if name not in VARIANTS:
        raise ValueError(f"no variant is called {name!r}; there are {', '.join(VARIANTS)}")
    path = variant_path(folder or shipped_checkpoint().parent, base.config, name)
    if not path.is_file():
        return None
    metadata, tensors = _read(path)
    if metadata.get("base") != base.digest:
        raise CheckpointError(
            f"{path}: a variant of checkpoint {metadata.get('base')}, not of {base.digest}; "
            "train it again or name the folder of this checkpoint's variants"
        )
    network = HybridPoseNetwork(variant_of(base.config, name))
    with _damage(path, "the weights do not fit the network"):
        _fill(network, tensors | _stored(base.network, "ann."))
    return network.eval()


def save_checkpoint(path: Path, network: HybridPoseNetwork, summary: Mapping[str, Any]) -> str:
    """Write a checkpoint and return its digest. ``summary`` must be JSON."""
    tensors = _stored(network)
    metadata = {
        "format": FORMAT,
        "config": json.dumps(network.config.to_dict(), sort_keys=True),
        "summary": json.dumps(dict(summary)),
    }
    metadata["digest"] = _digest(metadata["config"], tensors)
    _write(path, tensors, metadata)
    return metadata["digest"]


def load_checkpoint(path: Path | str | None = None) -> Checkpoint:
    """Read a checkpoint; ``None`` or an empty path means the shipped `edge` weights.

    Raises:
        CheckpointError: the file is missing, damaged or not a checkpoint of this package.
    """
    path = Path(path) if path else shipped_checkpoint()
    if not os.path.lexists(path):
        raise CheckpointError(
            f"{path}: no such checkpoint; train one with `hybrid-pose research train` "
            "or give another path"
        )
    metadata, tensors = _read(path)
    if "variant" in metadata:
        raise CheckpointError(
            f"{path}: a variant of checkpoint {metadata.get('base')} for comparisons; "
            "give the checkpoint itself"
        )
    if missing := {"config", "digest", "summary"} - metadata.keys():
        raise CheckpointError(f"{path}: damaged, without {', '.join(sorted(missing))}; {_REMEDY}")
    with _damage(path, "damaged"):
        if _digest(metadata["config"], tensors) != metadata["digest"]:
            raise CheckpointError(f"{path}: the digest does not match: damaged; {_REMEDY}")
        summary = json.loads(metadata["summary"])
        if not isinstance(summary, dict):
            raise TypeError("the summary is no table")
    with _damage(path, "the weights do not fit the network"):
        config = ModelConfig.from_dict(json.loads(metadata["config"]))
        _check_types(config)
        network = HybridPoseNetwork(config)
        _fill(network, tensors)
    return Checkpoint(network.eval(), metadata["digest"], summary)


def _stored(network: HybridPoseNetwork, prefix: str = "") -> dict[str, Tensor]:
    return {
        name: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype)
        for name, value in network.state_dict().items()
        if name.startswith(prefix)
    }


def _fill(network: HybridPoseNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Load weights into a network; of another type they would be other numbers."""
    for name, value in _stored(network).items():
        if name in tensors and tensors[name].dtype != value.dtype:
            raise TypeError(f"{name} is {tensors[name].dtype} instead of {value.dtype}")
    network.load_state_dict(dict(tensors))


def _check_types(config: object) -> None:
    """Raise TypeError where a number or text of a configuration is none."""
    for name, kind in get_type_hints(type(config)).items():
        value = getattr(config, name)
        if is_dataclass(value):
            _check_types(value)
        elif kind in (bool, str, int) and type(value) is not kind:
            raise TypeError(f"{name} is {value!r} instead of {kind.__name__}")
        elif kind is float and type(value) not in (int, float):
            raise TypeError(f"{name} is {value!r} instead of a number")


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    partial.chmod(0o644)  # safetensors makes it private
    partial.replace(path)


@contextlib.contextmanager
def _damage(path: Path, what: str) -> Iterator[None]:
    """Turn any failure into the one error that callers know.

    Damage reaches every layer (JSON, safetensors, torch, the configuration), each with its own
    exceptions; to the user they say the same.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(f"{error or type(error).__name__}".split())[:_MAX_REASON]
        raise CheckpointError(f"{path}: {what} ({reason}); {_REMEDY}") from error


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    if obstacle := find_obstacle(path, "a checkpoint"):
        raise CheckpointError(f"{path}: damaged or no checkpoint: {obstacle}")
    with _damage(path, "damaged or not a safetensors file"), safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: format {metadata.get('format')!r} instead of {FORMAT!r}; "
            "it was not written by this version of `hybrid-pose research train`"
        )
    return metadata, tensors


def _digest(config: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(config.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
