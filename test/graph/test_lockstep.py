# SPDX-License-Identifier: Apache-2.0
"""Which answers a packet is owed."""

import threading

import numpy as np
import pytest
from std_msgs.msg import Header

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.graph.lockstep import Answer, Kind, Lockstep
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.networks.config import EDGE

from ..conftest import packet_message

STEP_NS = EDGE.step_ns


@pytest.fixture
def lockstep() -> Lockstep:
    return Lockstep(EDGE, 10.0, ["/a", "/b"])


class Camera:
    """Gives a lockstep packets with events at certain times, in units of a step."""

    def __init__(self, lockstep: Lockstep, name: str) -> None:
        self.lockstep, self.name, self.seq = lockstep, name, 0

    def give(self, *steps: float, **changes: int) -> None:
        t = np.round(np.array(steps) * STEP_NS).astype(np.int64)
        zeros = np.zeros(len(t), int)
        encoded = encode("mono", make_events(t, zeros, zeros, zeros > 0))
        size = {"width": 346, "height": 260, **changes}
        header = Header(stamp=stamp_from_ns(10**18 + int(t[-1])))
        packet = packet_message(encoded, encoding="mono", seq=self.seq, header=header, **size)
        self.seq += 1
        self.lockstep.given(self.name, packet)

    def owed(self) -> list[tuple[str, float]]:
        owed = self.lockstep.owed(self.name)
        return sorted((answer.kind.value, answer.sensor_ns / STEP_NS) for answer in owed)


def test_a_completed_step_owes_a_pose(lockstep: Lockstep) -> None:
    camera = Camera(lockstep, "/a")
    camera.give(3.0, 3.9)
    assert camera.owed() == []
    assert lockstep.wait("/a", 0.0)
    camera.give(4.0)
    assert camera.owed() == [("pose", 4)]
    assert not lockstep.wait("/a", 0.0)
    assert lockstep.wait("/b", 0.0)
    lockstep.answered(Answer("/b", Kind.POSE, 4 * STEP_NS))
    lockstep.answered(Answer("/a", Kind.POSE, 5 * STEP_NS))
    assert camera.owed() == [("pose", 4)]
    lockstep.answered(Answer("/a", Kind.POSE, 4 * STEP_NS))
    assert camera.owed() == []


def test_the_last_end_of_a_period_in_a_packet_owes_an_initialisation(lockstep: Lockstep) -> None:
    camera = Camera(lockstep, "/a")
    camera.give(8.5, 9.5)
    assert camera.owed() == [("pose", 9)]
    camera.give(10.0)
    assert camera.owed() == [("initialisation", 10), ("pose", 9), ("pose", 10)]
    camera.give(31.5)  # after silence: the ends at 20 and 30 come at once
    owed = camera.owed()
    assert owed[:2] == [("initialisation", 10), ("initialisation", 30)]
    assert owed[2:] == [("pose", step) for step in range(9, 32)]


def test_malformed_packets_and_a_new_pass_are_taken_as_the_nodes_do(lockstep: Lockstep) -> None:
    camera = Camera(lockstep, "/a")
    camera.give(0.5)
    camera.give(1.5, width=9999)
    assert camera.owed() == []
    camera.give(2.5)
    assert camera.owed() == [("pose", 1), ("pose", 2)]
    for step in (1, 2):
        lockstep.answered(Answer("/a", Kind.POSE, step * STEP_NS))
    camera.give(0.5)
    assert camera.owed() == []
    camera.give(1.5)
    assert camera.owed() == [("pose", 1)]


def test_an_answer_ends_the_waiting_of_another_thread(lockstep: Lockstep) -> None:
    camera = Camera(lockstep, "/b")
    camera.give(0.5, 1.5)
    answer = Answer("/b", Kind.POSE, STEP_NS)
    thread = threading.Thread(target=lockstep.answered, args=[answer])
    thread.start()
    assert lockstep.wait("/b", 10.0)
    thread.join()
