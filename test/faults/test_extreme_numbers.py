# SPDX-License-Identifier: Apache-2.0
"""Numbers that grow for ever or come from outside saturate, or are refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from hybrid_pose_ros.interfaces.cdr import serialised_pose
from hybrid_pose_ros.interfaces.messages import (
    MAX_AGE_NS,
    MAX_STEPS,
    Sensor,
    pose_from_message,
    pose_message,
    stamp_from_ns,
)
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.pipeline.codec import decode_tensor
from hybrid_pose_ros.pipeline.state import EncodedTensor, InitRejectedError, Pose

HEADER = Header(stamp=stamp_from_ns(2**31 * 10**9 - 1), frame_id="cam")
SENSOR = Sensor(2**32 - 1, 2**32 - 1)
POSE = Pose(
    2**62, np.ones((13, 2), np.float32), np.ones(13, np.float32), "snn", MAX_STEPS, MAX_AGE_NS
)


@pytest.mark.parametrize("steps", [MAX_STEPS, MAX_STEPS + 1, 365 * 86_400 * 200, 2**64])
@pytest.mark.parametrize("age_ns", [MAX_AGE_NS, MAX_AGE_NS + 1, 2**70])
def test_what_grows_for_ever_stops_at_the_end_of_its_field(steps: int, age_ns: int) -> None:
    pose = replace(POSE, steps_since_init=steps, init_age_ns=age_ns)
    for wire in (
        serialize_message(pose_message(pose, HEADER, SENSOR)),
        serialised_pose(pose, HEADER, SENSOR),
    ):
        found = pose_from_message(deserialize_message(wire, PoseKeypoints))
        assert (found.steps_since_init, found.init_age_ns) == (MAX_STEPS, MAX_AGE_NS)
        assert found.sensor_time_ns == 2**62


def test_before_the_first_initialisation_nothing_is_changed() -> None:
    pose = replace(POSE, steps_since_init=-1, init_age_ns=-1)
    wire = serialised_pose(pose, HEADER, SENSOR)
    found = pose_from_message(deserialize_message(wire, PoseKeypoints))
    assert (found.steps_since_init, found.init_age_ns) == (-1, -1)


@pytest.mark.parametrize("sensor_time", [2**62 + 2**10, 2**64 - 1])
def test_a_sensor_time_of_no_camera_is_refused(sensor_time: int) -> None:
    message = pose_message(POSE, HEADER, SENSOR)
    message.sensor_time = sensor_time
    with pytest.raises(ValueError, match="sensor_time"):
        pose_from_message(message)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "change",
    [
        {"shape": (2**31, 2**31, 4)},  # 0 in 64 bits
        {"data": bytes(3)},
        {"dtype": "float32"},
        {"scale": float("nan")},
        {"scale": float("inf")},
        {"scale": 3e38},
        {"offset": float("-inf")},
    ],
)
def test_tensors_that_make_no_sense_are_rejected(change: dict[str, Any]) -> None:
    good = EncodedTensor("x", (2, 2), "uint8_affine", 0.5, 1.0, bytes(range(0, 200, 50)))
    assert decode_tensor(good).shape == (1, 2, 2)
    changed = replace(good, **({"data": b""} if "shape" in change else {}) | change)
    with pytest.raises(InitRejectedError, match="tensor x"):
        decode_tensor(changed)
