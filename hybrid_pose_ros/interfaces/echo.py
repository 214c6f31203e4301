# SPDX-License-Identifier: Apache-2.0
"""A bare echo of rclpy: the least delay that any node in between adds on this machine.

One process publishes the host time at a steady rate, another publishes what it hears, the first
hears it again: as many hops as a packet and its pose have, and nothing between them.
"""

import select
import subprocess
import sys
import time
from typing import Final

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.experimental.events_executor import EventsExecutor
from rclpy.serialization import deserialize_message
from rclpy.utilities import try_shutdown
from std_msgs.msg import UInt64

from hybrid_pose_ros.interfaces.byte_node import executing
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import Quality
from hybrid_pose_ros.pipeline.scheduling import use_default_slice, use_short_slice

CALL: Final = "hybrid_pose_echo/call"
ANSWER: Final = "hybrid_pose_echo/answer"

QUALITY: Final = profile(Quality(1000))

MATCH_TIMEOUT_S: Final = 60.0
TAIL_S: Final = 1.0
"""Answers that have not come so long after the last call are lost."""


def measure_echo(hz: float, seconds: float, settle_s: float = 0.5) -> NDArray[np.int64]:
    """Return the delays (ns) of the echoes of calls at this rate.

    Args:
        hz: calls per second of host time.
        seconds: for how long, after ``settle_s`` that do not count.

    Raises:
        TimeoutError: the other process did not start.
    """
    other = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE)
    use_short_slice()
    delays: list[tuple[int, int]] = []

    def hear(data: bytes) -> None:
        called_ns = int(deserialize_message(data, UInt64).data)
        delays.append((called_ns, time.time_ns() - called_ns))

    try:
        with executing(lambda: rclpy.create_node("echo_caller")) as (node, executor):
            publisher = node.create_publisher(UInt64, CALL, QUALITY)
            node.create_subscription(UInt64, ANSWER, hear, QUALITY, raw=True)
            deadline = time.monotonic() + MATCH_TIMEOUT_S
            while not (publisher.get_subscription_count() and node.count_publishers(ANSWER)):
                if time.monotonic() > deadline or other.poll() is not None:
                    raise TimeoutError("the process that echoes did not start")
                executor.spin_once(timeout_sec=0.05)
            begin_ns = time.time_ns()
            calls = round((settle_s + seconds) * hz)
            for call in range(calls):
                due_ns = begin_ns + round(call * 1e9 / hz)
                while (left_ns := due_ns - time.time_ns()) > 0:
                    executor.spin_once(timeout_sec=left_ns * 1e-9)
                publisher.publish(UInt64(data=time.time_ns()))
            deadline = time.monotonic() + TAIL_S
            while len(delays) < calls and time.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.05)
    finally:
        use_default_slice()
        assert other.stdin is not None
        other.stdin.close()  # tells it to end
        other.wait()
    first_ns = begin_ns + round(settle_s * 1e9)
    return np.array([delay for called_ns, delay in delays if called_ns >= first_ns], np.int64)


def echo() -> None:
    """Publish what is heard until the standard input ends."""
    use_short_slice()
    rclpy.init(args=[])
    try:
        node = rclpy.create_node("echo")
        publisher = node.create_publisher(UInt64, ANSWER, QUALITY)
        node.create_subscription(UInt64, CALL, publisher.publish, QUALITY, raw=True)
        executor = EventsExecutor()
        executor.add_node(node)
        next_look_s = 0.0
        while True:
            executor.spin_once(timeout_sec=0.1)
            if time.monotonic() >= next_look_s:
                next_look_s = time.monotonic() + 0.1
                if select.select([sys.stdin], [], [], 0)[0]:
                    break
        executor.shutdown()
        node.destroy_node()
    finally:
        try_shutdown()


if __name__ == "__main__":
    echo()
