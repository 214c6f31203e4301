# SPDX-License-Identifier: Apache-2.0
import os
import socket
import subprocess
import sys

import pytest

from hybrid_pose_ros.demo import domain
from hybrid_pose_ros.demo.domain import DomainError, domain_is_free, enter_private_domain


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "")  # so that it is restored even where it was not set
        monkeypatch.delenv(name)


def test_a_domain_whose_port_is_taken_is_not_free() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant:
        participant.bind(("", 7410 + 250 * 97))
        assert not domain_is_free(97)


def test_the_only_free_domain_is_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "domain_is_free", lambda domain_id: domain_id == 77)
    enter_private_domain()
    assert os.environ["ROS_DOMAIN_ID"] == "77"
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_a_domain_that_another_process_has_claimed_is_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(domain, "domain_is_free", lambda domain_id: domain_id == 78)
    program = (
        "from hybrid_pose_ros.demo.domain import claim_domain\n"
        "print(claim_domain(78), flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with pytest.raises(DomainError):
            enter_private_domain()
        other.communicate("\n")
    enter_private_domain()
    assert os.environ["ROS_DOMAIN_ID"] == "78"


def test_the_user_s_domain_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", "7")
    enter_private_domain()
    assert os.environ["ROS_DOMAIN_ID"] == "7"
    assert "ROS_AUTOMATIC_DISCOVERY_RANGE" not in os.environ


def test_no_free_domain_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain, "domain_is_free", lambda domain_id: False)
    with pytest.raises(DomainError, match="ROS_DOMAIN_ID"):
        enter_private_domain()
