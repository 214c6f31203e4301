# SPDX-License-Identifier: Apache-2.0
"""The running nodes with an ANN on demand: requests, and answers for their very moments."""

from pathlib import Path
from typing import Any

import pytest

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, INIT_REQUEST, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, InitRequest, PoseKeypoints, StateInit
from hybrid_pose_ros.nodes.ann import AnnNode
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support.boundary import StartError

pytestmark = pytest.mark.usefixtures("asked_only")

STEP_NS = 10_000_000


def test_ann_answers_for_the_moments_that_are_asked_for_alone(
    bench: Any, checkpoint: Path
) -> None:
    bench.run(AnnNode, checkpoint=str(checkpoint), auto_rate=True)
    inits = bench.collect(StateInit, "state_init", profile(STATE_INIT.offered))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    requests = bench.publisher(InitRequest, "init_request", profile(INIT_REQUEST.offered))
    for step in range(101, 117):  # moments 1.05, 1.10 and 1.15 s
        events.publish(bench.packet(step))
    requests.publish(InitRequest(sensor_time=110 * STEP_NS))
    bench.until(lambda: len(inits) == 1)
    requests.publish(InitRequest(sensor_time=120 * STEP_NS))  # not reached yet
    for step in range(117, 122):
        events.publish(bench.packet(step))
    bench.until(lambda: len(inits) == 2)
    assert [init.sensor_time for init in inits] == [110 * STEP_NS, 120 * STEP_NS]


def test_snn_asks_at_the_start_and_follows_the_answer(bench: Any, checkpoint: Path) -> None:
    for node_type in (AnnNode, SnnNode):
        bench.run(node_type, checkpoint=str(checkpoint), auto_rate=True)
    requests = bench.collect(InitRequest, "init_request", profile(INIT_REQUEST.offered))
    poses = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    bench.until(lambda: events.get_subscription_count() == 2)
    for count, step in enumerate(range(102, 130)):
        events.publish(bench.packet(step))
        bench.until(lambda count=count: len(poses) >= count)
    bench.until(lambda: requests)
    assert requests[0].sensor_time == 105 * STEP_NS
    assert requests[0].reason == InitRequest.START
    assert all(request.sensor_time % (5 * STEP_NS) == 0 for request in requests)

    def is_initialised() -> bool:
        events.publish(bench.packet(130 + len(poses)))
        bench.executor.spin_once(timeout_sec=0.05)
        return bool(poses[-1].init_age >= 0)

    bench.until(is_initialised)


def test_poses_are_predicted_by_as_much_as_the_parameter_says(
    bench: Any, checkpoint: Path
) -> None:
    bench.run(SnnNode, checkpoint=str(checkpoint), predict_ms=15.0)
    poses = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    for step in (100, 101, 102):
        events.publish(bench.packet(step))
    bench.until(lambda: len(poses) == 2)
    assert [pose.sensor_time for pose in poses] == [
        101 * STEP_NS + 15_000_000,
        102 * STEP_NS + 15_000_000,
    ]
    assert {pose.prediction for pose in poses} == {15_000_000}


@pytest.mark.parametrize(
    ("node_type", "parameters", "message"),
    [
        (AnnNode, {"min_interval_ms": 55.0}, "min_interval_ms 55: it is no multiple"),
        (SnnNode, {"min_interval_ms": 200.0, "max_interval_ms": 100.0}, "longest interval"),
    ],
)
def test_bounds_that_do_not_fit_are_refused_at_the_start(
    bench: Any, checkpoint: Path, node_type: Any, parameters: dict[str, float], message: str
) -> None:
    node = bench.run(
        node_type, start=False, checkpoint=str(checkpoint), auto_rate=True, **parameters
    )
    with pytest.raises(StartError, match=message):
        node.start()
