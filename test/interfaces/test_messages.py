# SPDX-License-Identifier: Apache-2.0
"""Messages carry exactly what was put in."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from hybrid_pose_ros.interfaces.cdr import serialised_pose
from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    pose_from_message,
    pose_message,
    stamp_from_ns,
    stamp_to_ns,
    state_init_from_message,
    state_init_message,
)
from hybrid_pose_ros.interfaces.topics import EVENTS
from hybrid_pose_ros.msg import EventPacket, PoseKeypoints
from hybrid_pose_ros.msg import StateInit as StateInitMessage
from hybrid_pose_ros.pipeline.state import Pose, StateInit
from hybrid_pose_ros.skeleton import NUM_JOINTS

HEADER = Header(stamp=stamp_from_ns(1_700_000_000_123_456_789), frame_id="cam")
SENSOR = Sensor(346, 260)


def sample_pose() -> Pose:
    rng = np.random.default_rng(0)
    return Pose(
        sensor_time_ns=2**53 + 1,
        keypoints=rng.normal(100, 500, (NUM_JOINTS, 2)).astype(np.float32),
        confidence=rng.random(NUM_JOINTS, dtype=np.float32),
        source="snn",
        steps_since_init=7,
        init_age_ns=-1,
        variance=rng.random(NUM_JOINTS, dtype=np.float32),
        velocity=rng.normal(0, 500, (NUM_JOINTS, 2)).astype(np.float32),
        velocity_variance=100 * rng.random(NUM_JOINTS, dtype=np.float32),
        prediction_ns=0,
        id=3,
    )


def assert_equal(a: object, b: object) -> None:
    """Compare two dataclasses that hold arrays, to the bit."""
    assert type(a) is type(b)
    for field in fields(a):  # type: ignore[arg-type]
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
        elif is_dataclass(left):
            assert_equal(left, right)
        else:
            assert left == right, field.name


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_are_exact(nanoseconds: int) -> None:
    assert stamp_to_ns(stamp_from_ns(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("source", ["ann", "snn"])
def test_pose_over_the_wire(source: str) -> None:
    pose = replace(sample_pose(), source=source)
    wire = serialize_message(pose_message(pose, HEADER, SENSOR))
    message = deserialize_message(wire, PoseKeypoints)
    assert_equal(pose_from_message(message), pose)
    assert message.header == HEADER
    assert (message.width, message.height) == (346, 260)


@pytest.mark.parametrize("write", [serialised_pose, pose_message])
def test_the_stamp_of_a_predicted_pose_is_that_of_its_moment(write: Callable[..., Any]) -> None:
    pose = replace(sample_pose(), prediction_ns=900_000_000)
    written = write(pose, HEADER, SENSOR)
    wire = written if isinstance(written, bytes) else serialize_message(written)
    message = deserialize_message(wire, PoseKeypoints)
    assert stamp_to_ns(message.header.stamp) == stamp_to_ns(HEADER.stamp) + 900_000_000
    assert message.prediction == 900_000_000
    assert_equal(pose_from_message(message), pose)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20))
def test_a_serialised_pose_is_what_rclpy_makes_of_the_message(frame_id: str) -> None:
    header = Header(stamp=HEADER.stamp, frame_id=frame_id)
    expected = serialize_message(pose_message(sample_pose(), header, SENSOR))
    wire = serialised_pose(sample_pose(), header, SENSOR)
    assert len(wire) == len(expected)
    assert deserialize_message(wire, PoseKeypoints) == deserialize_message(expected, PoseKeypoints)


def test_pose_with_unknown_source_or_ids_or_no_confidence_is_refused() -> None:
    message = pose_message(sample_pose(), HEADER, SENSOR)
    message.source = 9
    with pytest.raises(ValueError, match="source 9"):
        pose_from_message(message)
    message = pose_message(sample_pose(), HEADER, SENSOR)
    message.keypoints[3].id = 4
    with pytest.raises(ValueError, match="ids"):
        pose_from_message(message)
    message = pose_message(sample_pose(), HEADER, SENSOR)
    message.keypoints[3].confidence = float("inf")
    with pytest.raises(ValueError, match="confidence: inf is not from 0 to 1"):
        pose_from_message(message)
    message = pose_message(sample_pose(), HEADER, SENSOR)
    message.keypoints[12].variance = -1.0
    with pytest.raises(ValueError, match="variance of a joint: -1 is not from 0 to"):
        pose_from_message(message)


def test_state_init_over_the_wire(state_init: StateInit) -> None:
    wire = serialize_message(state_init_message(state_init, HEADER, SENSOR))
    assert len(wire) < 450_000  # what Fast DDS delivers with its default settings
    message = deserialize_message(wire, StateInitMessage)
    assert_equal(state_init_from_message(message), state_init)
    assert message.pose.source == PoseKeypoints.ANN
    assert message.pose.sensor_time == state_init.sensor_time_ns


def test_packet_type_of_a_package_that_is_not_installed() -> None:
    assert EVENTS.message_class is EventPacket
    with pytest.raises(ModuleNotFoundError):
        _ = EVENTS.of_package("no_such_msgs").message_class
