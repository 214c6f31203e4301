# SPDX-License-Identifier: Apache-2.0
"""A small bag of two cameras with poses in the image and in space."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.convert import frame_id
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_SIZE
from hybrid_pose_ros.interfaces.messages import (
    camera_info_message,
    ground_truth_message,
    header_at,
)
from hybrid_pose_ros.interfaces.topics import (
    CAMERA_INFO_TYPE,
    EVENTS_TYPE,
    GROUND_TRUTH,
    POSE_3D_TYPE,
    POSE_TYPE,
    WORLD_FRAME,
)

from ..conftest import mono_packet, written_bag

HOST_NS = 10**18
STEP_NS = 10_000_000
STEPS = 20

PERSON_M = np.stack((np.linspace(-0.3, 0.3, 13), np.zeros(13), np.linspace(1.6, 0.3, 13)), -1)
UNSEEN_JOINT = 7


def pose_px(camera: int) -> np.ndarray:
    """The pose that is published for a camera, [13, 2]."""
    return DHP19_LIKE[camera].project(PERSON_M)


def pose_message(store: Typestore, camera: int, step: int) -> Any:
    """A pose of which one joint has no confidence, 4 ms after its initialisation."""
    types, sensor_ns = store.types, step * STEP_NS
    return types["hybrid_pose_ros/msg/PoseKeypoints"](
        header=header_at(HOST_NS + sensor_ns, f"cam{camera}"),
        sensor_time=sensor_ns,
        prediction=0,
        id=0,
        width=346,
        height=260,
        source=1,
        steps_since_init=1,
        init_age=4_000_000,
        keypoints=[
            types["hybrid_pose_ros/msg/Keypoint"](
                id=joint,
                x=float(x),
                y=float(y),
                confidence=float(joint != UNSEEN_JOINT),
                variance=1.0,
                velocity_x=0.0,
                velocity_y=0.0,
                velocity_variance=1.0,
            )
            for joint, (x, y) in enumerate(pose_px(camera))
        ],
    )


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory, store: Typestore) -> Path:
    """0.2 s with a packet and a pose each 10 ms; poses arrive 2.5 ms after their packet."""
    path = tmp_path_factory.mktemp("view") / "bag"
    rng = np.random.default_rng(0)
    kinds = {f"/cam{n}/camera_info": CAMERA_INFO_TYPE for n in (0, 1, 2)}
    kinds |= {f"/cam{n}/events": EVENTS_TYPE for n in (0, 1)}
    kinds |= {f"/cam{n}/pose": POSE_TYPE for n in (0, 1)}
    kinds |= {"/pose_3d": POSE_3D_TYPE, GROUND_TRUTH.name: POSE_3D_TYPE}
    with written_bag(path, store, kinds) as write:
        for number in (0, 1, 2):
            header = header_at(HOST_NS, frame_id(number))
            message = camera_info_message(DHP19_LIKE[number], header, DHP19_SIZE)
            write(f"/cam{number}/camera_info", HOST_NS, message)
        for step in range(1, STEPS + 1):
            end_ns = step * STEP_NS
            for number in (0, 1):
                times = np.sort(rng.integers(end_ns - STEP_NS, end_ns, 200))
                times[-1] = end_ns - 1
                x, y = rng.integers(0, 346, 200), rng.integers(0, 260, 200)
                events = make_events(times, x, y, x % 2 > 0)
                packet = mono_packet(events, HOST_NS + end_ns, f"cam{number}", step)
                write(f"/cam{number}/events", HOST_NS + end_ns, packet)
                pose = pose_message(store, number, step)
                data = bytes(store.serialize_cdr(pose, POSE_TYPE))
                write(f"/cam{number}/pose", HOST_NS + end_ns + 2_500_000, data)
            joints = ground_truth_message(
                PERSON_M, end_ns, header_at(HOST_NS + end_ns, WORLD_FRAME)
            )
            for space in ("/pose_3d", GROUND_TRUTH.name):
                write(space, HOST_NS + end_ns, joints)
    return path
