# SPDX-License-Identifier: Apache-2.0
"""Parameters of the nodes `ann` and `snn`, and the estimators that follow from them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header

from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.pipeline.ann_demand import AutoRate
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_runtime import PRECISIONS, RUNTIMES, RuntimeMissingError
from hybrid_pose_ros.pipeline.ann_schedule import block_steps, period_steps, rate_trouble
from hybrid_pose_ros.pipeline.prediction import MAX_PREDICTION_NS
from hybrid_pose_ros.pipeline.snn_estimator import InitPolicy, SnnEstimator

AUTO_PARAMETERS = (
    ParameterSpec(
        "auto_rate",
        False,
        "run the ANN when the SNN asks for it instead of at rate_hz; the same for ann and snn",
    ),
    ParameterSpec(
        "min_interval_ms",
        AutoRate.min_interval_ms,
        "with auto_rate: shortest time between two inferences (ms of sensor time), whole steps; "
        "the same for ann and snn",
        limits=(1.0, 10_000.0),
    ),
)

ANN_PARAMETERS = (
    *AUTO_PARAMETERS,
    ParameterSpec(
        "rate_hz",
        10.0,
        "inferences per second (Hz of sensor time); the period must be whole steps; not used "
        "with auto_rate",
        limits=(0.1, 1000.0),
        live=True,
    ),
    ParameterSpec(
        "runtime",
        "torch",
        "what computes the networks; openvino is faster and must be installed",
        choices=RUNTIMES,
        reloads=True,
    ),
    ParameterSpec(
        "precision",
        "auto",
        "of the networks' convolutions; auto: bfloat16 on a processor with instructions for "
        "it, float32 on others",
        choices=PRECISIONS,
        reloads=True,
    ),
    ParameterSpec(
        "follow_person",
        True,
        "see only what lies around the last pose, so that whoever was found first is kept; "
        "false: the whole picture",
        live=True,
    ),
)
"""Parameters of `ann` beside those of both."""

SNN_PARAMETERS = (
    *AUTO_PARAMETERS,
    ParameterSpec(
        "max_drift_px",
        AutoRate.max_drift_px,
        "with auto_rate: mean way of the joints since the last state, in pixels of the model's "
        "view, at which the ANN is asked for a new one; more where confidence was lost meanwhile",
        limits=(0.1, 1000.0),
        live=True,
    ),
    ParameterSpec(
        "max_interval_ms",
        AutoRate.max_interval_ms,
        "with auto_rate: longest time between two inferences (ms of sensor time)",
        limits=(1.0, 60_000.0),
    ),
    ParameterSpec(
        "predict_ms",
        0.0,
        "poses are predicted so far ahead of their last events (ms of sensor time), to make up "
        "for the delay until they are used",
        limits=(0.0, MAX_PREDICTION_NS / 1e6),
        live=True,
    ),
    ParameterSpec(
        "init_policy",
        InitPolicy.REPLAY.value,
        "what to do with an initialisation that comes late: replay the steps since its moment,"
        " or take it as if it described the present (the paper's idealisation)",
        choices=tuple(policy.value for policy in InitPolicy),
    ),
    ParameterSpec(
        "max_replay_steps",
        100,
        "number of steps kept for the replay; an initialisation older than that is refused",
        limits=(1, 10_000),
    ),
    ParameterSpec(
        "max_delay_ms",
        50.0,
        "packets that have waited longer than this (ms of host time) have their steps merged",
        limits=(1.0, 60_000.0),
        live=True,
    ),
    ParameterSpec(
        "warn_age_ms",
        300.0,
        "age of the state (ms of sensor time) from which diagnostics say WARN",
        limits=(1.0, 1e6),
        live=True,
    ),
    ParameterSpec(
        "error_age_ms",
        1000.0,
        "age of the state (ms of sensor time) from which diagnostics say ERROR",
        limits=(1.0, 1e6),
        live=True,
    ),
)
"""Parameters of `snn` beside those of both."""


class Inference(NamedTuple):
    """An inference to run: its input, and the header of the packet that made it due."""

    estimator: AnnEstimator
    snapshot: tuple[NDArray[np.float32], int]
    header: Header


def make_ann(node: ManagedNode, checkpoint: Checkpoint) -> AnnEstimator:
    """Return an ANN that has been run once, without events.

    Raises:
        StartError: a parameter does not fit the model, or the runtime is not installed.
    """
    config, rate_hz = checkpoint.config, ann_rate_hz(node)
    if node.flag("auto_rate"):
        _check_interval(AutoRate(min_interval_ms=1e3 / rate_hz, max_interval_ms=1e6), config)
    elif trouble := rate_trouble(rate_hz, config.step_ns):
        raise StartError(trouble)
    try:
        estimator = AnnEstimator(
            checkpoint,
            config.view.fit(config.view.view_width, config.view.view_height),
            node.text("runtime"),
            node.text("precision"),
            block_steps=block_steps(rate_hz, config),
        )
    except RuntimeMissingError as error:
        raise StartError(str(error)) from error
    estimator.infer()
    return estimator


def ann_rate_hz(node: ManagedNode) -> float:
    """Return how often `ann` may run at most, per second of sensor time."""
    if node.flag("auto_rate"):
        return 1e3 / node.number("min_interval_ms")
    return node.number("rate_hz")


def ann_period_ns(node: ManagedNode, config: ModelConfig) -> int:
    """Return the sensor time (ns) between two moments at which `ann` may run."""
    return period_steps(ann_rate_hz(node), config.step_ns) * config.step_ns


def auto_rate_of(node: ManagedNode) -> AutoRate:
    """Return the bounds in the parameters of `snn`.

    Raises:
        StartError: they contradict each other.
    """
    names = ("max_drift_px", "min_interval_ms", "max_interval_ms")
    try:
        return AutoRate(**{name: node.number(name) for name in names})
    except ValueError as error:
        raise StartError(str(error)) from error


def _check_interval(rate: AutoRate, config: ModelConfig) -> None:
    try:
        rate.min_steps(config.step_ns)
    except ValueError as error:
        raise StartError(str(error)) from error


def make_snn(node: ManagedNode, checkpoint: Checkpoint) -> SnnEstimator:
    """Return an SNN that has been run once, without events.

    Raises:
        StartError: a parameter does not fit the model.
    """
    if node.flag("auto_rate"):
        _check_interval(auto_rate_of(node), checkpoint.config)
    view = checkpoint.config.view
    estimator = SnnEstimator(
        checkpoint,
        view.fit(view.view_width, view.view_height),
        init_policy=InitPolicy(node.text("init_policy")),
        max_replay_steps=node.integer("max_replay_steps"),
    )
    counts = np.zeros((2, view.grid_height, view.grid_width), np.uint16)
    estimator.step(Step(index=0, counts=counts, events=0))
    return estimator
