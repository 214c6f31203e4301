# SPDX-License-Identifier: Apache-2.0
"""Node `bag_player`: publishes stored bytes and the bag's time, and hears what comes of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from std_msgs.msg import UInt64
from std_srvs.srv import Trigger

from hybrid_pose_ros.interfaces.byte_node import ByteNode
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.interfaces.topics import CLOCK, Topic
from hybrid_pose_ros.msg import PoseKeypoints


def pose_time(data: bytes) -> int:
    """Return the sensor time (ns) up to which a serialised pose of a camera holds events."""
    message = deserialize_message(data, PoseKeypoints)
    return int(message.sensor_time - message.prediction)


def initialised_time(data: bytes) -> int:
    """Return the sensor time (ns) of the initialisation that a serialised message tells of."""
    return int(deserialize_message(data, UInt64).data)


class BagPlayerNode(ByteNode):
    """Publishes what it is given, and passes on what it hears; it decides nothing.

    Publishes: topics of the bag, /clock (rosgraph_msgs/Clock). Services: ~/pause, ~/resume,
    ~/toggle_paused (std_srvs/Trigger).

    Args:
        played: topics to publish.
        heard, on_message, on_diagnostics: as :class:`ByteNode` has them.
        on_command: called with the name of a service; returns what it answers.
    """

    def __init__(
        self,
        played: Sequence[Topic],
        heard: Sequence[Topic],
        *,
        on_message: Callable[[str, bytes], None],
        on_diagnostics: Callable[[str, Mapping[str, str]], None],
        on_command: Callable[[str], str],
    ) -> None:
        hear = partial(self._hear, on_message)
        super().__init__(
            "bag_player", played, heard, on_message=hear, on_diagnostics=on_diagnostics
        )
        self._clock_output = self.publisher(CLOCK)
        for name in ("pause", "resume", "toggle_paused"):
            self.create_service(Trigger, f"~/{name}", partial(self._serve, on_command, name))

    def publish_clock(self, bag_ns: int) -> None:
        """Publish the time of the bag."""
        self._clock_output.publish(Clock(clock=stamp_from_ns(bag_ns)))

    def _hear(self, on_message: Callable[[str, bytes], None], topic: str, data: bytes) -> None:
        try:
            on_message(topic, data)
        except (RuntimeError, ValueError) as error:  # the middleware's errors, a text that is none
            self.get_logger().warning(f"{topic}: damaged message left out: {error}")

    @staticmethod
    def _serve(on_command: Callable[[str], str], name: str, request: Any, response: Any) -> Any:
        response.success, response.message = True, on_command(name)
        return response
