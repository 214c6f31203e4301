# SPDX-License-Identifier: Apache-2.0
"""The running ann node: when it infers, what it says of itself, and that the snn takes it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from rclpy.exceptions import InvalidParameterValueException
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from hybrid_pose_ros.events.stream import StepStream
from hybrid_pose_ros.interfaces.messages import stamp_to_ns, state_init_from_message
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints, StateInit
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.nodes.ann import AnnNode
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator

pytestmark = pytest.mark.usefixtures("asked_only")

STEP_NS = 10_000_000


@pytest.fixture
def events_and_inits(bench: Any, checkpoint: Path) -> tuple[Any, list[StateInit]]:
    """A running ann node: the publisher of its events, and the list of its answers."""
    bench.run(AnnNode, checkpoint=str(checkpoint), rate_hz=20.0)
    inits = bench.collect(StateInit, "state_init", profile(STATE_INIT.offered))
    return bench.publisher(EventPacket, "events", profile(EVENTS.offered)), inits


def test_one_inference_per_period_of_sensor_time(
    bench: Any, checkpoint: Path, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    model = load_checkpoint(checkpoint)
    stream = StepStream(model.config.view.fit, STEP_NS, model.config.noise_filter)
    estimator = AnnEstimator(model, model.config.view.fit(346, 260))
    expected = {}
    for step in range(103, 117):
        packet = bench.packet(step)
        for done in stream.push(packet).steps:
            estimator.push(done)
            if (done.index + 1) % 5 == 0:
                expected[(done.index + 1) * STEP_NS] = (estimator.infer(), packet.header)
        events.publish(packet)
        if len(expected) > len(inits):
            bench.until(lambda: len(expected) == len(inits))
    assert [init.sensor_time for init in inits] == [105 * STEP_NS, 110 * STEP_NS, 115 * STEP_NS]
    for message in inits:
        init, header = expected[message.sensor_time]
        assert message.header == header
        assert state_init_from_message(message).tensors == init.tensors
        assert message.model_id == model.digest
        assert message.inference_time > 0


def test_packets_wait_for_the_end_of_the_period(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    node = bench.nodes[0]
    events.publish(bench.packet(100))
    bench.until(
        lambda: node._stream_figures.packets == 1
    )  # the first one tells the size of the sensor
    for step in (101, 102, 103):
        events.publish(bench.packet(step))
    bench.until(lambda: node._inbox.waiting == 3)
    assert node._stream_figures.packets == 1
    assert bench.report(node).values["packets received"] == "4"  # asked, it decodes them
    for step in (104, 105):
        events.publish(bench.packet(step))
    bench.until(lambda: inits)
    assert inits[0].sensor_time == 105 * STEP_NS


def test_a_period_of_other_blocks_begins_anew(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    node = bench.nodes[0]
    node.set_parameters([Parameter("step_ms", value=5.0)])
    assert node._reload().endswith("steps of 5 ms")
    assert node.bin_ns() == 10_000_000
    node.set_parameters([Parameter("rate_hz", value=200.0)])
    for step in (100, 101):  # this one shows that the blocks do not fit
        events.publish(bench.packet(step))
    bench.until(lambda: node.bin_ns() == 5_000_000)
    for step in (102, 103, 104):
        events.publish(bench.packet(step))
    bench.until(lambda: inits and inits[-1].sensor_time == 104 * STEP_NS + 5_000_000)
    assert all(init.sensor_time > 101 * STEP_NS for init in inits)


def test_nothing_comes_after_sensor_time_went_back_until_a_period_ends(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    for step in (998, 999, 1000):
        events.publish(bench.packet(step))
    bench.until(lambda: len(inits) == 1)
    for step in range(1, 6):
        events.publish(bench.packet(step))
    bench.until(lambda: len(inits) == 2)
    assert [init.sensor_time for init in inits] == [1000 * STEP_NS, 5 * STEP_NS]
    assert bench.report(bench.nodes[0]).values["sensor time restarts"] == "1"


def test_behind_it_skips_to_the_newest(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    events.publish(bench.packet(0, 300))  # sixty periods in one packet
    bench.until(lambda: inits and inits[-1].sensor_time == 295 * STEP_NS)
    bench.until(lambda: bench.nodes[0].figures.inferences.total == len(inits))
    report = bench.report(bench.nodes[0])
    assert int(report.values["inferences skipped"]) == 59 - len(inits)
    assert report.level == Level.WARN
    assert "too slow for rate_hz" in report.message


def test_of_the_periods_that_a_packet_ends_only_the_last_is_answered(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    for step in (103, 131):  # silence between them
        events.publish(bench.packet(step))
    bench.until(lambda: len(inits) == 1)
    assert inits[0].sensor_time == 130 * STEP_NS
    assert bench.report(bench.nodes[0]).values["inferences skipped"] == "5"


def test_snn_takes_what_ann_sends(bench: Any, checkpoint: Path) -> None:
    bench.run(AnnNode, checkpoint=str(checkpoint))
    snn = bench.run(SnnNode, checkpoint=str(checkpoint))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    bench.until(lambda: events.get_subscription_count() == 2)
    step = 0
    for accepted in ("1", "2"):
        while step <= 10 * int(accepted):  # the packet after a period's end makes it due
            events.publish(bench.packet(step))
            step += 1
        bench.until(lambda n=accepted: bench.report(snn).values["initialisations accepted"] == n)
    assert bench.report(snn).values["initialisations refused"] == "0"
    poses = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    events.publish(bench.packet(step))
    bench.until(lambda: poses)
    assert poses[0].init_age >= 0


@pytest.mark.parametrize("name", ["runtime", "precision"])
def test_what_there_is_none_of(bench: Any, name: str) -> None:
    with pytest.raises(InvalidParameterValueException, match=f"{name} must be one of .*float8"):
        bench.run(AnnNode, start=False, **{name: "float8"})


def test_a_runtime_that_is_not_installed(
    bench: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    node = bench.run(AnnNode, start=False, checkpoint=str(checkpoint), runtime="openvino")
    with pytest.raises(StartError, match=r"runtime openvino: .*requirements-openvino\.txt"):
        node.start()


def test_runtime_and_precision_last_until_a_reload(bench: Any, checkpoint: Path) -> None:
    node = bench.run(AnnNode, checkpoint=str(checkpoint), precision="float32")

    def reload() -> tuple[bool, str]:
        client = bench.probe.create_client(Trigger, "ann/reload")
        bench.until(client.service_is_ready)
        future = client.call_async(Trigger.Request())
        bench.until(future.done)
        return future.result().success, bench.report(node).values["runtime"]

    assert bench.report(node).values["runtime"] == "torch, float32"
    assert reload() == (True, "torch, float32")
    node.set_parameters([Parameter("precision", value="bfloat16")])
    assert bench.report(node).values["runtime"] == "torch, float32"
    assert reload() == (True, "torch, bfloat16")


def test_rate_that_is_no_whole_number_of_steps(bench: Any, checkpoint: Path) -> None:
    node = bench.run(AnnNode, start=False, checkpoint=str(checkpoint), rate_hz=30.0)
    with pytest.raises(StartError, match=r"rate_hz 30\.0"):
        node.start()


def test_the_stamp_is_that_of_the_packet_that_made_it_due(
    bench: Any, events_and_inits: tuple[Any, list[StateInit]]
) -> None:
    events, inits = events_and_inits
    bench.seq = 42
    for step in (8, 9, 10):
        events.publish(bench.packet(step))
    bench.until(lambda: inits)
    assert stamp_to_ns(inits[0].header.stamp) == bench.stamp_ns(44)
