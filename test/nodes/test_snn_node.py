# SPDX-License-Identifier: Apache-2.0
"""The running snn node: poses, initialisations, and all that may go wrong with its input."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header, UInt64

from hybrid_pose_ros.interfaces.messages import Sensor, stamp_to_ns, state_init_message
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support import base
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator, UnpackedInit
from hybrid_pose_ros.pipeline.state import StateInit

pytestmark = pytest.mark.usefixtures("asked_only")

STEP_NS = 10_000_000


class SnnBench:
    """A running snn node with its topics; `send` gives it steps, `init` an initialisation."""

    def __init__(self, bench: Any, checkpoint: Path, **parameters: Any) -> None:
        self.bench = bench
        self.node = bench.run(SnnNode, checkpoint=str(checkpoint), **parameters)
        self.poses: list[PoseKeypoints] = bench.collect(
            PoseKeypoints, "pose", profile(POSE.offered)
        )
        self.events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
        self.inits = bench.publisher(StateInitMessage, "state_init", profile(STATE_INIT.offered))
        self.next_step = 100

    def send(self, count: int = 1) -> None:
        """Publish that many steps in packets of their own, and wait for the poses they lead to."""
        expected = len(self.poses) + count
        if not self.poses:
            expected -= 1  # a step is complete with the first event after it
        for _ in range(count):
            self.events.publish(self.bench.packet(self.next_step))
            self.next_step += 1
        self.bench.until(lambda: len(self.poses) >= expected)
        assert len(self.poses) == expected

    def init(self, init: StateInit, step: int) -> None:
        """Publish an initialisation for the beginning of a step."""
        init = replace(init, sensor_time_ns=step * STEP_NS)
        self.inits.publish(state_init_message(init, Header(), Sensor(346, 260)))

    def wait(self, key: str, value: str) -> Report:
        """Spin until the diagnostics show a figure; return the first report that does."""
        reports: list[Report] = []

        def shown() -> bool:
            reports.append(self.bench.report(self.node))
            return reports[-1].values[key] == value

        self.bench.until(shown)
        return reports[-1]


@pytest.fixture
def snn(bench: Any, checkpoint: Path) -> SnnBench:
    """A node that has made two poses."""
    snn = SnnBench(bench, checkpoint)
    snn.send(3)
    return snn


def test_a_pose_for_each_step(snn: SnnBench) -> None:
    snn.send(4)
    assert [pose.sensor_time for pose in snn.poses] == [
        (100 + step + 1) * STEP_NS for step in range(6)
    ]
    # stamped like the packet that completed the step: the one after it
    assert [stamp_to_ns(pose.header.stamp) for pose in snn.poses] == [
        snn.bench.stamp_ns(seq) for seq in range(1, 7)
    ]
    pose = snn.poses[-1]
    assert (pose.header.frame_id, pose.width, pose.height) == ("cam", 346, 260)
    assert (pose.source, pose.steps_since_init, pose.init_age) == (PoseKeypoints.SNN, -1, -1)


def test_initialisation_and_age(snn: SnnBench, state_init: StateInit) -> None:
    snn.init(state_init, snn.next_step - 2)
    snn.wait("initialisations accepted", "1")
    snn.send()
    assert snn.poses[-1].steps_since_init == 2
    assert snn.poses[-1].init_age == 2 * STEP_NS
    assert snn.bench.report(snn.node).level == Level.OK


MALFORMED: dict[str, Callable[[EventPacket], None]] = {
    "size": lambda packet: setattr(packet, "events", packet.events[:-1]),
    "encoding": lambda packet: setattr(packet, "encoding", "morse"),
    "coordinates": lambda packet: setattr(packet, "events", b"\xff" * 800),
    "resolution": lambda packet: setattr(packet, "width", 640),
    "no resolution": lambda packet: setattr(packet, "height", 0),
    "byte order": lambda packet: setattr(packet, "is_bigendian", True),
    "time base": lambda packet: setattr(packet, "time_base", 2**64 - 1),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_packet_is_dropped_and_counted(snn: SnnBench, kind: str) -> None:
    packet = snn.bench.packet(snn.next_step)
    MALFORMED[kind](packet)
    snn.events.publish(packet)
    report = snn.wait("packets malformed", "1")
    assert report.level == Level.WARN
    assert "1 malformed packets dropped" in report.message
    snn.send(2)
    assert snn.bench.report(snn.node).message == "ok"


def test_lost_packets_are_counted(snn: SnnBench) -> None:
    snn.bench.seq += 3
    snn.send(2)
    assert snn.wait("packets lost", "3").values["packets malformed"] == "0"


def test_a_gap_without_events_is_filled_with_silence(snn: SnnBench) -> None:
    snn.next_step += 5
    snn.events.publish(snn.bench.packet(snn.next_step))
    snn.bench.until(lambda: len(snn.poses) == 2 + 6)
    assert [pose.sensor_time // STEP_NS for pose in snn.poses[2:]] == [*range(103, 109)]


def test_an_initialisation_that_comes_before_the_events_waits_for_them(
    bench: Any, checkpoint: Path, state_init: StateInit
) -> None:
    snn = SnnBench(bench, checkpoint)
    taken = bench.collect(UInt64, "/snn/initialised", profile(POSE.offered))
    snn.init(state_init, 101)
    bench.until(lambda: snn.node.worker.has_early)
    assert not taken
    snn.send(4)
    assert [message.data for message in taken] == [101 * STEP_NS]
    assert [pose.init_age for pose in snn.poses] == [-1, STEP_NS, 2 * STEP_NS]
    assert bench.report(snn.node).values["initialisations refused"] == "0"


def test_time_jump_back_waits_for_the_next_initialisation(
    snn: SnnBench, state_init: StateInit
) -> None:
    snn.init(state_init, 101)
    snn.wait("initialisations accepted", "1")
    snn.send()
    assert snn.poses[-1].init_age >= 0
    for step in (5, 6):
        snn.events.publish(snn.bench.packet(step))
    snn.bench.until(lambda: snn.poses[-1].sensor_time == 6 * STEP_NS)
    assert snn.poses[-1].init_age == -1
    assert snn.wait("sensor time restarts", "1").values["state age ms"] == "-"
    snn.init(state_init, 104)  # one that was still on its way
    snn.wait("initialisations accepted", "2")
    snn.init(state_init, 6)
    assert snn.wait("initialisations accepted", "3").values["initialisations refused"] == "0"
    snn.events.publish(snn.bench.packet(7))
    snn.bench.until(lambda: snn.poses[-1].sensor_time == 7 * STEP_NS)
    assert snn.poses[-1].init_age == STEP_NS


def _other_shape(init: StateInit) -> StateInit:
    tensors = (replace(init.tensors[0], shape=(1, 1, 1), data=b"\0"), *init.tensors[1:])
    return replace(init, tensors=tensors)


def _not_a_number(init: StateInit) -> StateInit:
    return replace(init, tensors=(replace(init.tensors[0], scale=np.nan), *init.tensors[1:]))


REFUSED: dict[str, tuple[Callable[[StateInit], StateInit], int, str]] = {
    "another model": (lambda init: replace(init, model_id="other"), 102, "model other"),
    "another shape": (_other_shape, 102, "shape"),
    "tensors missing": (lambda init: replace(init, tensors=init.tensors[1:]), 102, "tensors"),
    "not a number": (_not_a_number, 102, "finite"),
    "too old": (lambda init: init, 1, "older"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_useless_initialisation_is_refused_with_the_reason(
    snn: SnnBench, state_init: StateInit, kind: str
) -> None:
    change, step, reason = REFUSED[kind]
    snn.init(change(state_init), step)
    report = snn.wait("initialisations refused", "1")
    assert report.level == Level.WARN
    assert "1 initialisations refused" in report.message
    assert reason in report.message
    snn.send()
    assert snn.poses[-1].init_age == -1  # the state is the one before
    snn.init(state_init, 102)
    snn.wait("initialisations accepted", "1")


def test_age_without_ann_warns_then_fails_and_recovers(
    bench: Any, checkpoint: Path, state_init: StateInit
) -> None:
    snn = SnnBench(bench, checkpoint, warn_age_ms=30.0, error_age_ms=60.0)
    snn.send(2)
    snn.init(state_init, 101)
    snn.wait("initialisations accepted", "1")
    levels = []
    for _ in range(7):
        snn.send()
        levels.append((snn.poses[-1].init_age // 10**6, bench.report(snn.node).level))
    assert levels == [
        (10, Level.OK),
        (20, Level.OK),
        (30, Level.WARN),
        (40, Level.WARN),
        (50, Level.WARN),
        (60, Level.ERROR),
        (70, Level.ERROR),
    ]
    assert "70 ms old; is `ann` running?" in bench.report(snn.node).message
    snn.init(state_init, snn.next_step - 1)
    snn.wait("initialisations accepted", "2")
    snn.send()
    assert bench.report(snn.node).level == Level.OK


def test_never_initialised_becomes_an_error(
    bench: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snn = SnnBench(bench, checkpoint, warn_age_ms=20.0, error_age_ms=40.0)
    snn.send(3)
    report = bench.report(snn.node)
    assert (report.level, report.message[:25]) == (Level.OK, "starting: not initialised")
    monkeypatch.setattr(base, "SETTLE_S", 0.0)
    assert bench.report(snn.node).level == Level.WARN
    snn.send(2)
    report = bench.report(snn.node)
    assert (report.level, report.values["state age ms"]) == (Level.ERROR, "-")
    assert "not initialised for 40 ms" in report.message


def test_overload_merges_steps_and_says_so(bench: Any, checkpoint: Path) -> None:
    snn = SnnBench(bench, checkpoint, max_delay_ms=1.0)
    for step in range(100, 140):
        snn.events.publish(bench.packet(step))
    # the node does not spin meanwhile: the packets wait, as behind a slow step
    begin = time.monotonic()
    while time.monotonic() < begin + 0.02:
        pass
    bench.until(lambda: snn.poses and snn.poses[-1].sensor_time == 139 * STEP_NS)
    assert len(snn.poses) < 39 / 2
    report = bench.report(snn.node)
    assert report.values["steps merged"] == str(39 - len(snn.poses))
    assert report.level == Level.WARN
    assert "overload" in report.message


def test_of_initialisations_that_wait_the_newest_is_taken(
    snn: SnnBench, state_init: StateInit, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack, unpacking, go_on = SnnEstimator.unpack, threading.Event(), threading.Event()

    def slowly(estimator: SnnEstimator, init: StateInit) -> UnpackedInit:
        unpacking.set()
        assert go_on.wait(30)
        return unpack(estimator, init)

    monkeypatch.setattr(SnnEstimator, "unpack", slowly)
    snn.init(state_init, snn.next_step)
    snn.bench.until(unpacking.is_set)
    newest = snn.next_step + 2
    for step in (newest - 1, newest):
        snn.init(state_init, step)
    snn.wait("initialisations superseded", "1")
    go_on.set()
    snn.wait("initialisations accepted", "2")
    snn.send(5)
    assert snn.poses[-1].steps_since_init == snn.poses[-1].sensor_time // STEP_NS - newest


def test_packets_that_come_faster_than_they_are_served_hold_up_nothing_else(
    snn: SnnBench, state_init: StateInit, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = snn.node.process

    def slowly(*arguments: Any) -> None:
        time.sleep(0.004)
        process(*arguments)

    monkeypatch.setattr(snn.node, "process", slowly)
    packets = [snn.bench.packet(snn.next_step + k) for k in range(600)]
    going = threading.Event()

    def flood() -> None:
        for packet in packets:
            snn.events.publish(packet)
            going.wait(0.001)

    thread = threading.Thread(target=flood)
    thread.start()
    snn.bench.until(lambda: len(snn.poses) > 20)
    snn.init(state_init, snn.next_step + 5)
    snn.wait("initialisations accepted", "1")
    assert thread.is_alive()
    thread.join()
