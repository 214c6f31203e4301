# SPDX-License-Identifier: Apache-2.0
"""Node `fault_injector`: publishes any bytes on any topic, and hears whether poses go on."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hybrid_pose_ros.interfaces.byte_node import ByteNode
from hybrid_pose_ros.interfaces.lifecycle import StateClient
from hybrid_pose_ros.interfaces.topics import Topic


class FaultInjectorNode(ByteNode):
    """Publishes what it is given, valid or not, and asks nodes for transitions.

    Args:
        sent, heard, on_message, on_diagnostics: as :class:`ByteNode` has them.
        managed: full names of the nodes whose state can be changed.
    """

    def __init__(
        self,
        sent: Sequence[Topic],
        heard: Sequence[Topic],
        managed: Sequence[str],
        *,
        on_message: Callable[[str, bytes], None],
        on_diagnostics: Callable[[str, Mapping[str, str]], None],
    ) -> None:
        super().__init__(
            "fault_injector", sent, heard, on_message=on_message, on_diagnostics=on_diagnostics
        )
        self._states = {name: StateClient(self, name) for name in managed}

    def change_state(self, name: str, transition: str, timeout_s: float) -> bool:
        """Ask a node for a transition; return whether it was made in time.

        Args:
            transition: see :meth:`~hybrid_pose_ros.interfaces.lifecycle.StateClient.ask`.
        """
        answered = threading.Event()
        future = self._states[name].ask(transition)
        future.add_done_callback(lambda _: answered.set())
        if not answered.wait(timeout_s):
            return False
        answer: Any = future.result()
        return bool(answer.success)
