# SPDX-License-Identifier: Apache-2.0
"""Parameters and multiply-accumulates of a network, layer by layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerCost:
    """One convolution: its name in the module tree and its dense cost for one forward pass."""

    name: str
    parameters: int
    macs: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def layer_costs(module: nn.Module, run: Callable[[], Any]) -> list[LayerCost]:
    """Return the cost of each convolution of ``module`` that ``run()`` calls, in call order."""
    costs: list[LayerCost] = []
    names = {child: name for name, child in module.named_modules()}

    def record(child: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if not isinstance(child, nn.Conv2d):
            raise TypeError(f"{names[child]} is not a convolution")
        per_output = child.weight[0].numel()
        costs.append(
            LayerCost(
                name=names[child],
                parameters=sum(p.numel() for p in child.parameters()),
                macs=per_output * output.numel(),
                input_shape=tuple(inputs[0].shape),
                output_shape=tuple(output.shape),
            )
        )

    hooks = [
        child.register_forward_hook(record)
        for child in module.modules()
        if isinstance(child, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return costs
