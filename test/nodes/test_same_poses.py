# SPDX-License-Identifier: Apache-2.0
"""The same scene in any encoding, cut into any packets, gives the same poses to the bit."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header

from hybrid_pose_ros.events.array import EventArray, make_events
from hybrid_pose_ros.events.encodings import ENCODINGS, EncodedPacket, encode
from hybrid_pose_ros.events.stream import PacketReader, StepStream
from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    stamp_from_ns,
    state_init_message,
)
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.networks.checkpoint import Checkpoint, load_checkpoint
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator
from hybrid_pose_ros.pipeline.state import StateInit
from hybrid_pose_ros.simulation.source import SimulatorSource

from ..conftest import packet_message

MS = 1_000_000
PACKET_NS = {"mono": 5 * MS, "libcaer": 3_300_000, "libcaer_cmp": 1 * MS, "evt3": 17 * MS}
CAMERA = "evt3 of a camera"
"""A stream cut anywhere, also between a time and its event, without a time base."""


@pytest.fixture(scope="module")
def model() -> Checkpoint:
    """The shipped weights, whose every layer spikes."""
    return load_checkpoint()


@pytest.fixture(scope="module")
def scene() -> EventArray:
    """0.4 s of a person."""
    source = SimulatorSource("star_jumps", 0.4, seed=2)
    parts = []
    while (events := source.read()) is not None:
        parts.append(events)
    events = np.concatenate(parts)
    events["t"] -= events["t"] % 1000  # what all encodings can say
    return events


def packets(events: EventArray, form: str) -> Iterator[EventPacket]:
    """The scene as the packets of a driver."""
    if form == CAMERA:
        stream = encode("evt3", events).data
        cuts = np.sort(np.random.default_rng(0).integers(1, len(stream) // 2, 150)) * 2
        pieces = np.split(np.frombuffer(stream, np.uint8), cuts)
        encoded = [EncodedPacket(0, piece.tobytes()) for piece in pieces]
    else:
        numbers = events["t"] // PACKET_NS[form]
        parts = np.split(events, np.flatnonzero(np.diff(numbers)) + 1)
        encoded = [encode(form, part) for part in parts]
    for seq, packet in enumerate(encoded):
        yield packet_message(
            packet,
            encoding=form.split()[0],
            width=346,
            height=260,
            seq=seq,
            header=Header(stamp=stamp_from_ns(seq * MS)),
        )


def last_ns(reader: PacketReader, packet: EventPacket) -> int:
    """Sensor time of the last event of the next packet of a stream, -1 without one."""
    events = reader.read(packet)
    return int(events["t"][-1]) if len(events) else -1


def estimate(
    model: Checkpoint, stream: Iterator[EventPacket]
) -> tuple[list[Any], list[StateInit]]:
    """Return the poses of all steps, initialised every 100 ms, and the initialisations."""
    config = model.config
    view = config.view.fit(346, 260)
    steps = StepStream(config.view.fit, config.step_ns, config.noise_filter)
    ann, snn = AnnEstimator(model, view), SnnEstimator(model, view)
    poses, inits = [], []
    for packet in stream:
        for step in steps.push(packet).steps:
            ann.push(step)
            pose = snn.step(step)
            poses.append(
                (pose.sensor_time_ns, pose.keypoints.tobytes(), pose.confidence.tobytes())
            )
            if (step.index + 1) % 10 == 0:
                inits.append(ann.infer())
                snn.initialise(inits[-1])
    return poses, inits


@pytest.fixture(scope="module")
def reference(model: Checkpoint, scene: EventArray) -> tuple[list[Any], list[StateInit]]:
    return estimate(model, packets(scene, "mono"))


@pytest.mark.parametrize("form", [*ENCODINGS[1:], CAMERA])
def test_poses_do_not_depend_on_encoding_and_packets(
    model: Checkpoint, scene: EventArray, reference: tuple[list[Any], list[Any]], form: str
) -> None:
    assert len(reference[0]) == 39 and len(reference[1]) == 3
    assert len({pose[1:] for pose in reference[0]}) > 35  # they move
    poses, inits = estimate(model, packets(scene, form))
    assert poses == reference[0]
    assert [init.tensors for init in inits] == [init.tensors for init in reference[1]]


@pytest.mark.parametrize("form", [*ENCODINGS, CAMERA])
def test_a_running_node_takes_packets_of_other_drivers(
    bench: Any,
    monkeypatch: pytest.MonkeyPatch,
    scene: EventArray,
    reference: tuple[list[Any], list[StateInit]],
    form: str,
) -> None:
    # Field for field the same message under another name: all that a node sees of the package.
    package = types.ModuleType("event_camera_msgs.msg")
    package.EventPacket = EventPacket  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "event_camera_msgs.msg", package)
    monkeypatch.setitem(sys.modules, "event_camera_msgs", types.ModuleType("event_camera_msgs"))
    bench.run(SnnNode, packet_type="event_camera_msgs", max_delay_ms=60_000.0)
    poses: list[PoseKeypoints] = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    events = bench.publisher(EventPacket, "events", profile(EVENTS.offered))
    inits = bench.publisher(StateInitMessage, "state_init", profile(STATE_INIT.offered))
    first = reference[1][0]
    stream = list(packets(scene, form))
    reader = PacketReader()
    half = next(i for i, packet in enumerate(stream) if last_ns(reader, packet) >= 120 * MS) + 1
    for packet in stream[:half]:
        events.publish(packet)
    bench.until(lambda: poses and poses[-1].sensor_time >= 120 * MS)
    inits.publish(state_init_message(first, Header(), Sensor(346, 260)))
    bench.until(lambda: bench.report(bench.nodes[0]).values["initialisations accepted"] == "1")
    for packet in stream[half:]:
        events.publish(packet)
    bench.until(lambda: poses[-1].sensor_time == 390 * MS)
    # from the first initialisation of the reference to its second one
    got = [
        (
            pose.sensor_time,
            np.array([(p.x, p.y) for p in pose.keypoints], np.float32).tobytes(),
            np.array([p.confidence for p in pose.keypoints], np.float32).tobytes(),
        )
        for pose in poses
        if 150 * MS <= pose.sensor_time <= 200 * MS
    ]
    assert got == [pose for pose in reference[0] if 150 * MS <= pose[0] <= 200 * MS]
    assert bench.report(bench.nodes[0]).values["packets malformed"] == "0"


def test_after_a_lost_packet_evt3_waits_for_the_next_time(scene: EventArray) -> None:
    whole, broken = PacketReader(), PacketReader()
    stream = list(packets(scene, CAMERA))
    expected = [whole.read(packet) for packet in stream]
    lost = len(stream) // 2
    got = [broken.read(packet) for index, packet in enumerate(stream) if index != lost]
    assert (broken.lost, broken.malformed) == (1, 0)
    before, after = np.concatenate(got[:lost]), np.concatenate(got[lost:])
    np.testing.assert_array_equal(before, np.concatenate(expected[:lost]))
    # the upper half of the time comes every 4.096 ms; from there on all is as it was
    rest = np.concatenate(expected[lost + 1 :])
    assert 0 <= len(rest) - len(after) <= np.sum(rest["t"] < rest["t"][0] + 4_200_000)
    np.testing.assert_array_equal(after, rest[len(rest) - len(after) :])


STAMP_NS = 1_700_000_000 * 10**9


def driver_packet(seq: int, sensor_us: int) -> EventPacket:
    """One event as a driver without a time base sends it; sensor and host time run alike."""
    encoded = encode("evt3", make_events([sensor_us * 1000], 3, 4, True))
    return packet_message(
        EncodedPacket(0, encoded.data),
        encoding="evt3",
        width=346,
        height=260,
        seq=seq,
        header=Header(stamp=stamp_from_ns(STAMP_NS + sensor_us * 1000)),
    )


def test_whoever_listens_later_has_the_same_times() -> None:
    stream = [driver_packet(seq, seq * 2_000_000) for seq in range(40)]  # 80 s, five rounds
    first = PacketReader()
    times = [int(first.read(packet)["t"][0]) for packet in stream]
    assert np.diff(times).tolist() == [2 * 10**9] * 39
    assert abs(times[0] - STAMP_NS) <= 2**23 * 1000
    for start in (1, 9, 33):
        later = PacketReader()
        assert [int(later.read(packet)["t"][0]) for packet in stream[start:]] == times[start:]
    # nor does it matter that half a minute was missed in between
    gappy = PacketReader()
    kept = [*range(5), *range(22, 40)]
    assert [int(gappy.read(stream[k])["t"][0]) for k in kept] == [times[k] for k in kept]
    assert gappy.lost == 17
