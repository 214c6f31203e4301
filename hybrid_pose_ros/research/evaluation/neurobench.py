# SPDX-License-Identifier: Apache-2.0
"""Costs of a model in the terms of NeuroBench (Yik et al., 2025), for comparison with others.

An execution makes one pose. What happens more rarely than that, the ANN's run and the
initialisation, counts with its share; steps that replays run again count, too.
"""

from typing import Any

from torch import nn

from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.research.evaluation.energy import Activity, Costs, Duty


def neurobench_figures(
    network: HybridPoseNetwork, costs: Costs, duty: Duty, activity: Activity | None
) -> dict[str, Any]:
    """Return the figures of a model by NeuroBench's names.

    Args:
        activity: of the SNN; None where no step is run.

    Returns:
        ``footprint``: bytes of parameters and buffers of the parts that run, as float32;
        ``connection_sparsity``: share of their convolutions' weights that are 0;
        ``activation_sparsity``: share of the spiking neurons' outputs that are 0, None without;
        ``model_execution_rate``: poses per second of sensor time (Hz); ``synaptic_operations``
        per execution: ``Effective_ACs``, of inputs that are 1, ``Effective_MACs``, of others that
        are not 0 (all of the ANN's, whose activations leak), and ``Dense``, as if none were 0;
        ``membrane_updates`` per execution.
    """
    parts: list[nn.Module] = []
    if duty.ann_hz:
        parts.append(network.ann)
    if duty.initialise_hz:
        parts.append(network.initialiser)
    if duty.step_hz:
        parts.append(network.snn)
    rate_hz = 1e9 / network.config.step_ns if activity is not None else duty.ann_hz
    ann = costs.ann_macs * duty.ann_hz + costs.initialiser_macs * duty.initialise_hz
    macs = dense = ann / rate_hz if rate_hz else 0.0
    accumulates = updates = 0.0
    sparsity = None
    if activity is not None:
        steps = duty.step_hz / rate_hz
        for name, count in activity.accumulated.items():
            done = steps * count / activity.steps
            accumulates += done * costs.binary[name]
            macs += done * (not costs.binary[name])
        dense += steps * sum(costs.dense_macs.values())
        neurons = sum(costs.neurons.values())
        updates = steps * neurons
        sparsity = 1.0 - sum(activity.fired.values()) / (activity.steps * neurons)
    return {
        "footprint": 4 * sum(_size(part) for part in parts),
        "connection_sparsity": _connection_sparsity(parts),
        "activation_sparsity": sparsity,
        "model_execution_rate": rate_hz,
        "synaptic_operations": {
            "Effective_MACs": macs,
            "Effective_ACs": accumulates,
            "Dense": dense,
        },
        "membrane_updates": updates,
    }


def _size(part: nn.Module) -> int:
    tensors = [*part.parameters(), *part.buffers()]
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())


def _connection_sparsity(parts: list[nn.Module]) -> float | None:
    modules = [module for part in parts for module in part.modules()]
    weights = [module.weight for module in modules if isinstance(module, nn.Conv2d)]
    count = sum(weight.numel() for weight in weights)
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    return zeros / count if count else None
