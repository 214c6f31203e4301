# SPDX-License-Identifier: Apache-2.0
"""The boundary between what comes from outside and a node: no error passes it."""

import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

from hybrid_pose_ros.nodes.support.health import Incidents

LOG_PERIOD_S: Final = 5.0
"""Shortest time (s) between two log lines about the same trouble."""


class StartError(RuntimeError):
    """A node cannot be configured or activated; the message says what is wrong and the remedy."""


class RefusedError(RuntimeError):
    """A request to a node's service cannot be carried out; the message says why."""


class Boundary:
    """Wraps callbacks, so that no message, request or error ends a node.

    What cannot be used is refused; an error that nothing accounts for is survived. Both are
    counted, and logged now and then; the traceback of such an error has the log level DEBUG.

    Args:
        logger: of the node.

    Attributes:
        incidents: the counts.
    """

    def __init__(self, logger: Any) -> None:
        self.incidents = Incidents()
        self._logger = logger
        self._silent_until: dict[tuple[str, int, str], float] = {}

    def warn_throttled(self, sentence: str, about: str, *, depth: int = 1) -> None:
        """Log a warning, at most one in LOG_PERIOD_S from each line of code that calls this.

        Args:
            about: the topic or camera, where one line of code serves several: each has its turn.
            depth: how many callers up that line is.
        """
        # rclpy's own throttle goes by the line that calls the logger: this one, for all troubles.
        caller = sys._getframe(depth)
        place = (caller.f_code.co_filename, caller.f_lineno, about)
        now = time.monotonic()
        if now >= self._silent_until.get(place, now):
            self._silent_until[place] = now + LOG_PERIOD_S
            self._logger.warning(sentence)

    def refuse(self, name: str, reason: str) -> None:
        """Count a message or request that cannot be used; ``name`` is its topic or service."""
        self.incidents.refuse(f"{name}: {reason}")
        self.warn_throttled(f"{name}: refused: {reason}", name)

    def survive(self, name: str, error: Exception) -> None:
        """Count an error that nothing accounts for; ``name`` says where it came up."""
        sentence = f"{name}: {type(error).__name__}: {error}"
        self.incidents.survive(sentence)
        self.warn_throttled(f"unexpected error, survived: {sentence}", name)
        self._logger.debug(traceback.format_exc())

    def action(self, name: str, action: Callable[[], None]) -> Callable[[], None]:
        """Return an action, of a timer for instance, whose errors are survived."""

        def act() -> None:
            try:
                action()
            except Exception as error:
                self.survive(name, error)

        return act

    def receiver(self, name: str, receive: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback of a topic that refuses what ``receive`` raises a ValueError for."""

        def take(message: Any) -> None:
            try:
                receive(message)
            except ValueError as error:
                self.refuse(name, str(error))
            except Exception as error:
                self.survive(name, error)

        return take

    def service(self, name: str, serve: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """Return a callback of a service of rclpy's own that refuses what makes it fail."""

        def answer(request: Any, response: Any) -> Any:
            try:
                return serve(request, response)
            except Exception as error:
                self.refuse(name, str(error))
                return response  # as it was made: no success

        return answer

    def answer(self, name: str, action: Callable[[], str], response: Any) -> Any:
        """Fill in the response of a service with what an action says, or why it refuses."""
        response.success = False
        try:
            response.message = action()
            response.success = True
        except (RefusedError, StartError) as error:
            response.message = str(error)
        except Exception as error:
            response.message = f"unexpected error: {type(error).__name__}: {error}"
            self.survive(name, error)
        return response
