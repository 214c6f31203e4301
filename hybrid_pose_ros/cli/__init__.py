# SPDX-License-Identifier: Apache-2.0
"""The command `hybrid-pose` and its subcommands, one module each."""


class CommandError(RuntimeError):
    """A command cannot do what it was asked to; the message says why and the remedy."""
