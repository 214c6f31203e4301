# SPDX-License-Identifier: Apache-2.0
"""Parameters of the nodes `ann` and `snn`, and the estimators that follow from them."""

import numpy as np

from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.networks.checkpoint import Checkpoint
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.ann_runtime import PRECISIONS, RUNTIMES, RuntimeMissingError
from hybrid_pose_ros.pipeline.ann_schedule import block_steps, rate_trouble
from hybrid_pose_ros.pipeline.snn_estimator import InitPolicy, SnnEstimator

ANN_PARAMETERS = (
    ParameterSpec(
        "rate_hz",
        10.0,
        "inferences per second (Hz of sensor time); the period must be whole steps",
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
)
"""Parameters of `ann` beside those of both."""

SNN_PARAMETERS = (
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


def make_ann(node: ManagedNode, checkpoint: Checkpoint) -> AnnEstimator:
    """Return an ANN that has been run once, without events.

    Raises:
        StartError: a parameter does not fit the model, or the runtime is not installed.
    """
    config, rate_hz = checkpoint.config, node.number("rate_hz")
    if trouble := rate_trouble(rate_hz, config.step_ns):
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


def make_snn(node: ManagedNode, checkpoint: Checkpoint) -> SnnEstimator:
    """Return an SNN that has been run once, without events."""
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
