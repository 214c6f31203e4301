# SPDX-License-Identifier: Apache-2.0
"""Changes the state of managed nodes from outside."""

from typing import Any, Final

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.task import Future

TRANSITIONS: Final = {
    "configure": Transition.TRANSITION_CONFIGURE,
    "activate": Transition.TRANSITION_ACTIVATE,
    "deactivate": Transition.TRANSITION_DEACTIVATE,
    "cleanup": Transition.TRANSITION_CLEANUP,
}


class StateClient:
    """Asks one node for transitions.

    Args:
        node: the node that asks; its executor brings the answers.
        name: full name of the managed node.
    """

    def __init__(self, node: Node, name: str) -> None:
        self._client = node.create_client(ChangeState, f"{name}/change_state")

    def is_ready(self) -> bool:
        """Return whether the managed node is there to be asked."""
        return bool(self._client.service_is_ready())

    def ask(self, transition: str) -> Future:
        """Ask for one of :data:`TRANSITIONS`; the result says in ``success`` if it was made."""
        request = ChangeState.Request(transition=Transition(id=TRANSITIONS[transition]))
        return self._client.call_async(request)

    def start(self) -> None:
        """Ask an unconfigured node to configure itself and, once it has, to become active."""

        def activate(answer: Any) -> None:
            if answer.result().success:
                self.ask("activate")

        self.ask("configure").add_done_callback(activate)
