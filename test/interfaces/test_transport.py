# SPDX-License-Identifier: Apache-2.0
"""Room for events in shared memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_pose_ros.interfaces import transport
from hybrid_pose_ros.interfaces.transport import PROFILES, TRANSPORTS, room_for_events

BURST = 30
"""Large packets, 10 MB in all."""

TALKER = f"""
import pathlib, time
import rclpy
from hybrid_pose_ros.events.playback import MAX_EVENTS_PER_PACKET
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.interfaces.transport import room_for_events
rclpy.init()
with room_for_events():
    node = rclpy.create_node("talker")
publisher = node.create_publisher(EventPacket, "burst", profile(EVENTS.offered))
while not pathlib.Path("hears").exists():
    publisher.publish(EventPacket(seq={BURST} + 1))
    time.sleep(0.05)
packet = EventPacket(events=bytes(8 * MAX_EVENTS_PER_PACKET))
for packet.seq in range({BURST}):
    publisher.publish(packet)
while True:
    publisher.publish(EventPacket(seq={BURST}))
    time.sleep(0.05)
"""

LISTENER = f"""
import pathlib
import rclpy
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.msg import EventPacket
rclpy.init()
node = rclpy.create_node("listener")
seen = []
quality = profile(EVENTS.wanted)
node.create_subscription(EventPacket, "burst", lambda m: seen.append(m.seq), quality)
while not seen:
    rclpy.spin_once(node, timeout_sec=0.1)
pathlib.Path("hears").touch()
while seen[-1] != {BURST}:
    rclpy.spin_once(node, timeout_sec=0.1)
print([seq for seq in seen if seq < {BURST}])
"""


def test_a_burst_of_packets_finds_room(tmp_path: Path) -> None:
    """In new processes: Fast DDS reads its profiles once."""

    def run(program: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-c", program]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)

    with run(TALKER) as talker, run(LISTENER) as listener:
        try:
            heard, _ = listener.communicate(timeout=60)
        finally:
            talker.kill()
            listener.kill()
    assert heard.strip() == str(list(range(BURST)))


@pytest.mark.parametrize("name", [PROFILES, TRANSPORTS])
def test_what_the_user_has_chosen_is_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in (PROFILES, TRANSPORTS):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "their choice")
    before = dict(os.environ)
    with room_for_events():
        assert dict(os.environ) == before


def test_children_started_later_do_not_inherit_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PROFILES, TRANSPORTS):
        monkeypatch.delenv(name, raising=False)
    with room_for_events():
        assert Path(os.environ[PROFILES]).is_file()
    assert PROFILES not in os.environ


def test_scarce_memory_is_left_to_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PROFILES, TRANSPORTS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transport, "NEEDED_BYTES", 1 << 60)
    before = dict(os.environ)
    with room_for_events():
        assert dict(os.environ) == before
