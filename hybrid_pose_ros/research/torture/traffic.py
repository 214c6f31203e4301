# SPDX-License-Identifier: Apache-2.0
"""The events of simulated cameras as packets, over and over, with knobs for what can go wrong."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hybrid_pose_ros.bags.convert import PacketCutter
from hybrid_pose_ros.events.array import EventArray
from hybrid_pose_ros.events.encodings import EncodedPacket, encode
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_SIZE, VIEWS
from hybrid_pose_ros.interfaces.cdr import serialised_packet
from hybrid_pose_ros.interfaces.messages import camera_info_message, header_at, serialised
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, EVENTS
from hybrid_pose_ros.simulation.source import SimulatorSource

PACKET_NS: Final = 5_000_000
"""Length of a packet in sensor time."""

SCENE_S: Final = 1.0
"""Sensor time until the scene starts over; the sensor's clock goes on."""

MOTION: Final = "walking"

FIRST_NS: Final = 3600 * 10**9
"""Sensor time at which it begins, so that it can be turned back."""

MAX_BEHIND_S: Final = 0.2
"""Traffic that is later than this does not try to catch up: that would be a flood."""

INFO_PERIOD_S: Final = 0.5


@dataclass
class Knobs:
    """What is wrong with the traffic; as it is made, nothing.

    Attributes:
        clock_ns: added to the sensor time of each camera.
        stamp_ns: added to the host time in the headers.
        lost_share: share of the packets that never come, though they are counted.
        silent: cameras that send nothing.
        speed: factor to the rate.
        calibrated: whether the cameras' true camera_info is sent.
    """

    clock_ns: list[int]
    stamp_ns: int = 0
    lost_share: float = 0.0
    silent: frozenset[int] = frozenset()
    speed: float = 1.0
    calibrated: bool = True


def simulate_scene(camera: int) -> EventArray:
    """Return the events of :data:`SCENE_S` of a person that walks, as this camera sees them."""
    source = SimulatorSource(MOTION, SCENE_S, seed=1, view=VIEWS[camera])
    parts = []
    while (events := source.read()) is not None:
        parts.append(events)
    return np.concatenate(parts)


def cut_scene(events: EventArray) -> list[EncodedPacket | None]:
    """Return a packet for each :data:`PACKET_NS` of the scene; None where it has no events."""
    slots: list[EncodedPacket | None] = [None] * round(SCENE_S * 1e9 / PACKET_NS)
    cutter = PacketCutter(1, PACKET_NS)
    for packet in [*cutter.cut([events]), *cutter.rest()]:
        if packet.slot < len(slots):
            slots[packet.slot] = encode("mono", packet.events)
    return slots


class Traffic:
    """Publishes packets and calibrations of cameras in a thread of its own; a context manager.

    Args:
        namespaces: of the cameras.
        scenes: events of each, of :data:`SCENE_S`.
        publish: takes the name of a topic and a serialised message.
        rate: sensor seconds per second.

    Attributes:
        knobs: what is wrong with it; any thread may turn them.
        sent: packets published so far, by camera.
    """

    def __init__(
        self,
        namespaces: Sequence[str],
        scenes: Sequence[EventArray],
        publish: Callable[[str, bytes], None],
        rate: float,
    ) -> None:
        self.knobs = Knobs([0] * len(namespaces))
        self.sent = [0] * len(namespaces)
        self._topics = [EVENTS.under(name).name for name in namespaces]
        self._infos = [CAMERA_INFO.under(name).name for name in namespaces]
        self._scenes = [cut_scene(events) for events in scenes]
        self._publish, self._rate = publish, rate
        self._seq = [0] * len(namespaces)
        self._slot = 0
        self._rng = np.random.default_rng(0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def packet(self, camera: int, **changes: object) -> bytes:
        """Return the current packet of a camera, serialised, with other values of fields.

        Args:
            changes: arguments of :func:`~hybrid_pose_ros.interfaces.cdr.serialised_packet`.
        """
        scene = self._scenes[camera]
        start = self._slot % len(scene)
        encoded = next(filter(None, scene[start:] + scene))
        turns = self._slot // len(scene)
        shift_ns = FIRST_NS + round(turns * SCENE_S * 1e9) + self.knobs.clock_ns[camera]
        fields = {
            "stamp_ns": time.time_ns() + self.knobs.stamp_ns,
            "frame_id": f"cam{camera}",
            "width": DHP19_SIZE[0],
            "height": DHP19_SIZE[1],
            "seq": self._seq[camera],
            "encoding": "mono",
        }
        shifted = EncodedPacket(encoded.time_base + shift_ns, encoded.data)
        return serialised_packet(shifted, **(fields | changes))  # type: ignore[arg-type]

    def camera_info(self, camera: int) -> bytes:
        """Return the true calibration of a camera, serialised."""
        header = header_at(time.time_ns(), f"cam{camera}")
        return serialised(camera_info_message(DHP19_LIKE[camera], header))

    def _run(self) -> None:
        due_s = next_info_s = time.monotonic()
        while not self._stop.is_set():
            now_s = time.monotonic()
            if self.knobs.calibrated and now_s >= next_info_s:
                next_info_s = now_s + INFO_PERIOD_S
                for camera, topic in enumerate(self._infos):
                    self._publish(topic, self.camera_info(camera))
            for camera in range(len(self._topics)):
                self._send(camera)
            self._slot += 1
            due_s = max(due_s, now_s - MAX_BEHIND_S)
            due_s += PACKET_NS * 1e-9 / (self._rate * self.knobs.speed)
            self._stop.wait(max(0.0, due_s - time.monotonic()))

    def _send(self, camera: int) -> None:
        scene = self._scenes[camera]
        if scene[self._slot % len(scene)] is None or camera in self.knobs.silent:
            return
        if self._rng.random() >= self.knobs.lost_share:
            self._publish(self._topics[camera], self.packet(camera))
            self.sent[camera] += 1
        self._seq[camera] += 1
