# SPDX-License-Identifier: Apache-2.0
"""The bare echo answers every call."""

from hybrid_pose_ros.interfaces.echo import measure_echo


def test_every_call_is_answered_after_its_time() -> None:
    delays = measure_echo(50.0, 0.4, settle_s=0.2)
    assert len(delays) in (20, 21)  # the first that counts may be called a moment before
    assert (delays > 0).all()
