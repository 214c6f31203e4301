# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of one's own, so that two runs on one machine do not hear each other."""

import os
import random
import socket
from typing import Final

DOMAINS: Final = range(1, 102)
"""Those whose UDP ports lie below the ones that Linux gives to other programs."""


def domain_is_free(domain_id: int) -> bool:
    """Return whether no participant of this machine is in a domain.

    The first participant of domain d listens for others at UDP port 7410 + 250 d (DDSI-RTPS 2.2,
    section 9.6.1).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain_id))
        except OSError:
            return False
    return True


def enter_private_domain() -> None:
    """Put this process and its children into a free domain on this machine alone.

    A domain that the user has chosen by ROS_DOMAIN_ID is kept.

    Raises:
        RuntimeError: no domain is free.
    """
    if "ROS_DOMAIN_ID" in os.environ:
        return
    for domain_id in random.sample(DOMAINS, len(DOMAINS)):
        if domain_is_free(domain_id):
            os.environ["ROS_DOMAIN_ID"] = str(domain_id)
            os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
            return
    raise RuntimeError("no ROS domain is free on this machine; choose one with ROS_DOMAIN_ID")
