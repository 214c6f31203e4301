# SPDX-License-Identifier: Apache-2.0
"""A ROS domain of one's own, so that two runs on one machine do not hear each other."""

import os
import random
import socket
from typing import Final

from hybrid_pose_ros.errors import UserError

DOMAINS: Final = range(52, 102)
"""Not those that people choose, who begin at 0; and their UDP ports lie below the ones that Linux
gives to other programs."""

_claims: Final[list[socket.socket]] = []
"""Keep the claims of this process until it ends."""


class DomainError(UserError):
    """There is no free domain; the message says what to do."""


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


def claim_domain(domain_id: int) -> bool:
    """Claim a domain until this process ends; return False where another process has.

    Until the first participant is there its port tells nothing, so the claim is a socket of an
    abstract name, which the kernel frees in any case.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0hybrid_pose_ros/domain/{domain_id}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def free_domain_id() -> int:
    """Claim a domain that nobody on this machine is in, any of :data:`DOMAINS`, and return it.

    Raises:
        DomainError: there is none.
    """
    for domain_id in random.sample(DOMAINS, len(DOMAINS)):
        if domain_is_free(domain_id) and claim_domain(domain_id):
            return domain_id
    raise DomainError("no ROS domain is free on this machine; choose one with ROS_DOMAIN_ID")


def enter_private_domain() -> None:
    """Put this process and its children into a free domain that no other machine sees.

    A domain that the user has chosen by ROS_DOMAIN_ID is kept.

    Raises:
        DomainError: no domain is free.
    """
    if "ROS_DOMAIN_ID" not in os.environ:
        os.environ["ROS_DOMAIN_ID"] = str(free_domain_id())
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
