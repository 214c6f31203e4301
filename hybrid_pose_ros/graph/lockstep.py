# SPDX-License-Identifier: Apache-2.0
"""Which answers the pipeline owes for the packets that it has been given (no ROS)."""

import threading
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import Packet, StepStream
from hybrid_pose_ros.networks.config import ModelConfig

PATIENCE_S: Final = 60.0
"""An answer that has not come by then never will."""


class Kind(Enum):
    """What an answer is about."""

    POSE = "pose"
    INIT = "initialisation"


class Answer(NamedTuple):
    """An answer of a camera's pipeline: a pose, or an initialisation taken by the SNN."""

    camera: str
    kind: Kind
    sensor_ns: int


class LockstepError(UserError):
    """An answer does not come; the message says which."""


class Lockstep:
    """Holds packets of a camera back until all answers to the ones before have come.

    Packets are decoded with the class that the nodes use, so that both agree on the steps that a
    packet completes. Every completed step owes a pose; a packet owes an initialisation if steps
    that it completes end at a multiple of the ANN's period, and then for the last of these.

    Args:
        config: of the model.
        ann_hz: rate of the ANN.
        cameras: namespaces.
    """

    def __init__(self, config: ModelConfig, ann_hz: float, cameras: Sequence[str]) -> None:
        self._step_ns = config.step_ns
        self._period_steps = round(1e9 / ann_hz / config.step_ns)
        self._streams = {
            name: StepStream(config.view.fit, config.step_ns, config.noise_filter)
            for name in cameras
        }
        self._changed = threading.Condition()
        self._owed: dict[str, set[Answer]] = {name: set() for name in cameras}

    def given(self, camera: str, packet: Packet) -> None:
        """Note a packet that is about to be published."""
        try:
            pushed = self._streams[camera].push(packet)
        except MalformedPacketError:
            return  # the nodes drop it
        owed = set()
        due = None
        for step in pushed.steps:
            end_ns = step.end_ns(self._step_ns)
            owed.add(Answer(camera, Kind.POSE, end_ns))
            if (step.index + 1) % self._period_steps == 0:
                due = end_ns
        if due is not None:
            owed.add(Answer(camera, Kind.INIT, due))
        with self._changed:
            self._owed[camera] |= owed

    def answered(self, answer: Answer) -> None:
        """Note an answer, from any thread."""
        with self._changed:
            self._owed[answer.camera].discard(answer)
            self._changed.notify_all()

    def owed(self, camera: str) -> set[Answer]:
        """Return the answers that have not come yet."""
        with self._changed:
            return set(self._owed[camera])

    def wait(self, camera: str, seconds: float) -> bool:
        """Wait until nothing is owed, but not longer; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._owed[camera], seconds)
