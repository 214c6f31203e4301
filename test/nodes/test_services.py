# SPDX-License-Identifier: Apache-2.0
"""What an operator does to running nodes: pause, reset, reload, other rates, statistics."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from std_srvs.srv import SetBool, Trigger

from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.interfaces.messages import Sensor, state_init_message
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.networks.checkpoint import load_checkpoint, save_checkpoint
from hybrid_pose_ros.networks.config import EDGE
from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork
from hybrid_pose_ros.nodes.ann import AnnNode
from hybrid_pose_ros.nodes.event_driver import EventDriverNode
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support import event_source
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.pipeline.state import StateInit
from hybrid_pose_ros.pipeline.step_length import StepLengthError, with_step

STEP_NS = EDGE.step_ns
MS = 1_000_000


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another untrained model."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("other") / "other.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE).eval(), {})
    return path


def call(bench: Any, service: str, data: bool | None = None) -> tuple[bool, str]:
    """Call a Trigger, or with data a SetBool; return the answer."""
    kind = Trigger if data is None else SetBool
    client = bench.probe.create_client(kind, service)
    bench.until(client.service_is_ready)
    future = client.call_async(kind.Request() if data is None else kind.Request(data=data))
    bench.until(future.done)
    answer = future.result()
    return bool(answer.success), str(answer.message)


class Operated:
    """A running ann and snn with their topics."""

    def __init__(self, bench: Any, checkpoint: Path, **parameters: Any) -> None:
        self.bench = bench
        self.ann = bench.run(AnnNode, checkpoint=str(checkpoint), **parameters)
        self.snn = bench.run(SnnNode, checkpoint=str(checkpoint), **parameters)
        self.poses: list[PoseKeypoints] = bench.collect(
            PoseKeypoints, "pose", profile(POSE.offered)
        )
        self.inits: list[StateInitMessage] = bench.collect(
            StateInitMessage, "state_init", profile(STATE_INIT.offered)
        )
        self.events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
        bench.until(lambda: self.events.get_subscription_count() == 2)
        self.step = 100
        self.begins = True

    def send(self, count: int) -> None:
        """Publish that many steps of 10 ms, and wait until the last one has led to a pose.

        Where the stream begins, one step more: a step is complete with the first event after it.
        """
        count += self.begins
        self.begins = False
        for _ in range(count):
            self.events.publish(self.bench.packet(self.step))
            self.step += 1
        end = (self.step - 1) * STEP_NS
        self.bench.until(lambda: self.poses and self.poses[-1].sensor_time >= end)

    def initialised(self) -> None:
        """Send steps until the snn has a state of the ann."""
        self.bench.until(self._once)

    def _once(self) -> bool:
        self.send(1)
        return bool(self.poses[-1].init_age >= 0)

    def value(self, node: Any, key: str) -> str:
        return str(self.bench.report(node).values[key])


@pytest.fixture
def operated(bench: Any, checkpoint: Path) -> Operated:
    return Operated(bench, checkpoint)


def test_pause_drops_packets_and_going_on_has_no_past(bench: Any, operated: Operated) -> None:
    operated.initialised()
    assert call(bench, "snn/pause", True) == (
        True,
        "paused: packets are dropped until ~/pause with false",
    )
    assert call(bench, "snn/pause", True) == (True, "paused already")
    count = len(operated.poses)
    for _ in range(30):
        operated.events.publish(bench.packet(operated.step))
        operated.step += 1
    last = (operated.step - 1) // 10 * 10 * STEP_NS
    bench.until(lambda: operated.inits[-1].sensor_time == last)  # the ann goes on
    assert len(operated.poses) == count
    report = bench.report(operated.snn)
    assert report.level == Level.WARN and "paused" in report.message
    assert call(bench, "snn/pause", False)[0]
    operated.begins = True
    operated.send(1)
    assert operated.poses[count].sensor_time == (operated.step - 1) * STEP_NS
    assert operated.poses[count].init_age == -1
    operated.initialised()
    assert operated.value(operated.snn, "packets lost") == "0"
    assert operated.value(operated.snn, "initialisations refused") == "0"


def test_a_paused_ann_lets_the_state_age(bench: Any, operated: Operated) -> None:
    operated.initialised()
    assert call(bench, "ann/pause", True)[0]
    operated.send(1)
    inits = len(operated.inits)
    operated.send(25)
    assert len(operated.inits) <= inits + 1  # one may have been under way
    assert operated.poses[-1].init_age >= 150 * MS
    assert call(bench, "ann/pause", False)[0]
    bench.until(lambda: operated._once() and operated.poses[-1].init_age < 150 * MS)


def test_reset_returns_to_rest_until_the_next_initialisation(
    bench: Any, operated: Operated
) -> None:
    operated.initialised()
    assert call(bench, "snn/reset") == (True, "reset: goes on without a past")
    operated.send(1)
    assert operated.poses[-1].init_age == -1
    operated.initialised()
    assert operated.ann._estimator.snapshot()[0].any()
    assert call(bench, "ann/reset")[0]
    assert not operated.ann._estimator.snapshot()[0].any()


def test_reload_takes_another_model_and_a_bad_file_changes_nothing(
    bench: Any, operated: Operated, checkpoint: Path, other: Path, tmp_path: Path
) -> None:
    first, second = load_checkpoint(checkpoint).digest, load_checkpoint(other).digest
    operated.initialised()
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    for path in (broken, tmp_path / "none.safetensors"):
        [changed] = operated.snn.set_parameters([Parameter("checkpoint", value=str(path))])
        assert changed.successful
        success, message = call(bench, "snn/reload")
        assert not success
        assert str(path) in message and "\n" not in message
    operated.send(1)
    assert operated.poses[-1].init_age >= 0  # as if nothing had been asked
    assert operated.value(operated.snn, "model") == f"edge {first}"

    operated.snn.set_parameters([Parameter("checkpoint", value=str(other))])
    success, message = call(bench, "snn/reload")
    assert (success, message) == (True, f"edge {second}, steps of 10 ms")
    count = len(operated.poses)
    operated.begins = True
    operated.send(2)
    assert operated.poses[count].init_age == -1
    # the ann still holds the first model: refused with the reason
    bench.until(lambda: operated._once() or bench.report(operated.snn).values[REFUSED] != "0")
    assert "it comes from model " + first in operated.snn.figures.refusal
    operated.ann.set_parameters([Parameter("checkpoint", value=str(other))])
    assert call(bench, "ann/reload")[0]
    operated.initialised()
    assert operated.inits[-1].model_id == second


REFUSED = "initialisations refused"


def test_the_rate_of_the_ann_changes_at_once(bench: Any, operated: Operated) -> None:
    operated.initialised()
    [refused] = operated.ann.set_parameters([Parameter("rate_hz", value=30.0)])
    assert not refused.successful
    assert "rate_hz 30.0: its period is no multiple" in refused.reason
    [changed] = operated.ann.set_parameters([Parameter("rate_hz", value=50.0)])
    assert changed.successful
    operated.inits.clear()
    for _ in range(10):
        known = len(operated.inits)
        operated.send(2)
        bench.until(lambda: len(operated.inits) > known)  # noqa: B023
    times = np.array([init.sensor_time for init in operated.inits])
    assert set(np.diff(times[-8:])) == {20 * MS}


def test_steps_of_5_ms_make_200_poses_a_second(bench: Any, checkpoint: Path) -> None:
    operated = Operated(bench, checkpoint, step_ms=5.0)
    digest = load_checkpoint(checkpoint).digest
    operated.initialised()
    assert operated.value(operated.snn, REFUSED) == "0"  # also the first one was taken
    assert operated.inits[0].model_id == f"{digest}@5ms"
    times = [pose.sensor_time for pose in operated.poses]
    assert set(np.diff(times)) == {5 * MS}
    assert operated.poses[-1].steps_since_init * 5 * MS == operated.poses[-1].init_age
    periods, rests = np.divmod(np.diff([init.sensor_time for init in operated.inits]), 100 * MS)
    assert not rests.any() and (periods > 0).all()
    assert (
        periods - 1
    ).sum() <= operated.ann.figures.skipped.total  # on a busy machine; else none
    assert operated.value(operated.ann, "step ms") == "5"


def test_the_step_length_changes_at_a_reload(bench: Any, operated: Operated) -> None:
    operated.initialised()
    [changed] = operated.snn.set_parameters([Parameter("step_ms", value=5.0)])
    assert changed.successful
    success, message = call(bench, "snn/reload")
    assert success and message.endswith("@5ms, steps of 5 ms")
    count = len(operated.poses)
    operated.begins = True
    operated.send(4)
    times = [pose.sensor_time for pose in operated.poses[count:]]
    assert set(np.diff(times)) == {5 * MS}
    # the ann still has steps of 10 ms
    bench.until(lambda: operated._once() or operated.value(operated.snn, REFUSED) != "0")
    assert "@5ms" in operated.snn.figures.refusal
    operated.ann.set_parameters([Parameter("step_ms", value=5.0)])
    assert call(bench, "ann/reload")[0]
    operated.initialised()


@pytest.mark.parametrize("step_ms", [3.0, 20.0, 0.1, 0.001])
def test_a_step_that_does_not_fit_is_refused(
    bench: Any, operated: Operated, step_ms: float
) -> None:
    operated.ann.set_parameters([Parameter("step_ms", value=step_ms)])
    success, message = call(bench, "ann/reload")
    assert not success
    assert operated.value(operated.ann, "step ms") == "10"
    assert f"step of {step_ms:g} ms" in message or "rate_hz" in message


def test_a_model_of_another_step_sees_the_same_past(checkpoint: Path) -> None:
    model = load_checkpoint(checkpoint)
    with torch.no_grad():
        model.network.motion.readout.weight.normal_()
        model.network.ann.head.conv.bias.fill_(0.3)  # no joint without a velocity
    half = with_step(model, STEP_NS // 2)
    assert half.config.step_ns == 5 * MS
    assert half.config.ann.history_steps == 2 * model.config.ann.history_steps
    windows = torch.poisson(torch.ones(1, EDGE.ann.input_planes, 65, 87))
    with torch.no_grad():
        heatmaps, state = model.network.initial_state(windows)
        same, retimed = half.network.initial_state(windows)
    assert torch.equal(heatmaps, same)
    assert state.velocity.all()
    assert torch.allclose(2 * retimed.velocity, state.velocity)
    assert with_step(model, STEP_NS) is model
    with pytest.raises(StepLengthError, match="20 ms does not fit the model"):
        with_step(model, 2 * STEP_NS)


def test_services_say_why_not(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint), autostart=False)
    assert call(bench, "snn/pause", True) == (False, "the node is unconfigured, not active")
    assert call(bench, "snn/reset") == (False, "the node is unconfigured, not active")
    success, message = call(bench, "snn/reload")
    assert not success and "unconfigured" in message
    node.trigger_configure()
    assert call(bench, "snn/reload")[0]  # loads while it is inactive, too
    node.trigger_activate()
    assert call(bench, "snn/reset")[0]  # before any event


def test_statistics_are_the_diagnostics_as_json(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    success, text = call(bench, "snn/statistics")
    assert success
    figures = json.loads(text)
    assert (figures["state"], figures["level"]) == ("active", "OK")
    assert "starting: no packets" in figures["message"]
    assert figures["values"].keys() == bench.report(node).values.keys()
    node.trigger_deactivate()
    bench.until(lambda: json.loads(call(bench, "snn/statistics")[1])["state"] == "inactive")


# -- event_driver --------------------------------------------------------------------------------


class StepSource:
    """One event per 10 ms without end, in batches of one."""

    width, height, name = 346, 260, "steps"

    def __init__(self, live: bool) -> None:
        self.live = live
        self.closed = False
        self.step = 0

    def read(self) -> EventArray:
        self.step += 1
        return make_events([(self.step - 1) * STEP_NS], [1], [2], [True])

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> list[StepSource]:
    opened: list[StepSource] = []

    def open_source(live: bool) -> StepSource:
        opened.append(StepSource(live))
        return opened[-1]

    monkeypatch.setattr(event_source, "_simulator", lambda *given: open_source(False))
    monkeypatch.setattr(event_source, "CameraSource", lambda name: open_source(True))
    return opened


def test_a_simulation_is_paused_and_started_over(bench: Any, sources: list[StepSource]) -> None:
    node = bench.run(EventDriverNode, packet_ms=10.0, rate=1.0, wait_for_subscribers=1)
    packets: list[EventPacket] = bench.collect(EventPacket, "events", profile(EVENTS.wanted))
    bench.until(lambda: len(packets) >= 3)
    assert call(bench, "event_driver/pause", True) == (True, "paused")
    bench.until(lambda: "paused" in bench.report(node).message)
    bench.report(node)
    count = len(packets)
    for _ in range(20):
        bench.executor.spin_once(timeout_sec=0.01)  # 200 ms: twenty packets at this rate
    assert len(packets) <= count + 1
    assert call(bench, "event_driver/pause", False) == (True, "goes on")
    count = len(packets)
    bench.until(lambda: len(packets) >= count + 3)
    assert [packet.seq for packet in packets] == list(range(len(packets)))
    assert [packet.time_base // STEP_NS for packet in packets] == list(range(len(packets)))
    assert call(bench, "event_driver/reset") == (True, "starts over")
    bench.until(lambda: packets[-1].time_base < packets[-2].time_base)
    assert packets[-1].time_base == 0
    assert [source.closed for source in sources] == [True, False]


def test_a_camera_cannot_be_paused(bench: Any, sources: list[StepSource]) -> None:
    bench.run(EventDriverNode, source="camera", packet_ms=1000.0)
    for service, data in (("pause", True), ("reset", None)):
        success, message = call(bench, f"event_driver/{service}", data)
        assert not success
        assert "a camera cannot" in message


def test_an_initialisation_of_another_step_length_is_refused(
    bench: Any, checkpoint: Path, state_init: StateInit
) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    inits = bench.publisher(StateInitMessage, "state_init", profile(STATE_INIT.offered))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    for step in range(3):
        events.publish(bench.packet(step))
    bench.until(lambda: bench.report(node).values["packets received"] == "3")
    foreign = replace(
        state_init, model_id=state_init.model_id + "@5ms", sensor_time_ns=2 * STEP_NS
    )
    inits.publish(state_init_message(foreign, Header(), Sensor(346, 260)))
    bench.until(lambda: bench.report(node).values[REFUSED] == "1")
    assert (
        f"model {state_init.model_id}@5ms, this one is {state_init.model_id}"
        in node.figures.refusal
    )
