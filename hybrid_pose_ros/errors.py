# SPDX-License-Identifier: Apache-2.0
"""The errors whose message is for the person at the command line."""


class UserError(Exception):
    """A request that cannot be met: the message says what, where and the remedy.

    The command `hybrid-pose` prints it as one line; everything else that is raised is a fault.
    """
