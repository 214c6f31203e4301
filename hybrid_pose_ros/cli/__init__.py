# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose` and its subcommands, one module each."""

from hybrid_pose_ros.errors import UserError


class CommandError(UserError):
    """A command cannot do what it was asked to; the message says why and the remedy."""


def check_at_least_one(option: str, value: int) -> None:
    """Refuse a number of workers, steps or the like below 1.

    Raises:
        CommandError: it is.
    """
    if value < 1:
        raise CommandError(f"{option} must be at least 1, not {value}")
