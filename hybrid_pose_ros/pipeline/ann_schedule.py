# SPDX-License-Identifier: Apache-2.0
"""When the ANN infers: at multiples of a period of whole steps of sensor time."""

from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.pipeline.ann_estimator import longest_block


def period_steps(rate_hz: float, step_ns: int) -> int:
    """Return the number of steps from one inference to the next."""
    return max(1, round(1e9 / rate_hz / step_ns))


def block_steps(rate_hz: float, config: ModelConfig) -> int:
    """Return the longest block of steps that the ANN's windows and the period are made of."""
    return longest_block(config.ann, period_steps(rate_hz, config.step_ns))


def rate_trouble(rate_hz: float, step_ns: int) -> str:
    """Return in what way a rate does not fit steps of this length (ns), or ""."""
    if abs(period_steps(rate_hz, step_ns) * step_ns * rate_hz - 1e9) <= 1e3:
        return ""
    return (
        f"rate_hz {rate_hz}: its period is no multiple of the model's step of {step_ns / 1e6:g} ms"
    )
