# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import make_typestore
from hybrid_pose_ros.bags.layout import (
    CAMERA_INFO_TYPE,
    EVENTS_TYPE,
    GROUND_TRUTH_TOPIC,
    GROUND_TRUTH_TYPE,
    make_camera_info,
    make_ground_truth,
    make_header,
)
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.encodings import encode
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_SIZE
from hybrid_pose_ros.graph.description import find_prefix, share_directory


@pytest.fixture(scope="session")
def share() -> Path:
    """The package's share directory, where its message definitions are."""
    return share_directory(find_prefix())


@pytest.fixture(scope="session")
def store(share: Path) -> Typestore:
    """Message types of the package and of ROS."""
    return make_typestore(share)


SMALL_CAMERAS = ("/cam0", "/cam1")
SMALL_FIRST_STEP = 27


@pytest.fixture(scope="session")
def small_bag(tmp_path_factory: pytest.TempPathFactory, store: Typestore) -> Path:
    """A bag with 0.28 s of noise from two cameras, their calibration, and ground truth.

    Packets of 5 ms begin at 0.27 s of sensor time; /cam1 is silent for 70 ms. Labels lie 3 ms
    beside the ends of steps. Among the topics are some that are not to be played.
    """
    path = tmp_path_factory.mktemp("bags") / "small"
    write_small_bag(path, store)
    return path


def write_small_bag(path: Path, store: Typestore) -> None:
    """Write the bag of the fixture `small_bag`."""
    packet_ns, first_ns = 5_000_000, SMALL_FIRST_STEP * 10_000_000
    rng = np.random.default_rng(0)
    person = np.stack((np.linspace(-0.3, 0.3, 13), np.zeros(13), np.linspace(1.6, 0.3, 13)), -1)
    with Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:

        def link(topic: str, kind: str) -> Any:
            return writer.add_connection(topic, kind, typestore=store)

        def write(connection: Any, stamp_ns: int, message: Any) -> None:
            data = store.serialize_cdr(message, connection.msgtype)
            writer.write(connection, 10**18 + stamp_ns, data)

        events = [link(f"{name}/events", EVENTS_TYPE) for name in SMALL_CAMERAS]
        infos = [link(f"{name}/camera_info", CAMERA_INFO_TYPE) for name in SMALL_CAMERAS]
        truth = link(GROUND_TRUTH_TOPIC, GROUND_TRUTH_TYPE)
        link("/rosout_of_another_time", "std_msgs/msg/Header")
        for number, info in enumerate(infos):
            camera = DHP19_LIKE[number]
            message = make_camera_info(store, number, first_ns, DHP19_SIZE, camera)
            write(info, first_ns, message)
        sequences = [0, 0]
        for slot in range(56):
            start_ns = first_ns + slot * packet_ns
            if slot % 2 == 0:
                label_ns = start_ns - 3_000_000
                joints = np.add(person, (0.001 * slot, 0, 0))
                write(truth, start_ns, make_ground_truth(store, joints, label_ns, start_ns))
            for number, connection in enumerate(events):
                if number == 1 and 20 <= slot < 34:
                    continue
                times = np.sort(rng.integers(start_ns, start_ns + packet_ns, 300))
                x, y = rng.integers(0, 346, 300), rng.integers(0, 260, 300)
                packet = encode("mono", make_events(times, x, y, rng.integers(0, 2, 300) > 0))
                message = store.types[EVENTS_TYPE](
                    header=make_header(store, 10**18 + start_ns + packet_ns, f"cam{number}"),
                    height=260,
                    width=346,
                    seq=sequences[number],
                    time_base=packet.time_base,
                    encoding="mono",
                    is_bigendian=False,
                    events=np.frombuffer(packet.data, np.uint8),
                )
                sequences[number] += 1
                write(connection, start_ns + packet_ns, message)
        end_ns = first_ns + 56 * packet_ns
        write(truth, end_ns, make_ground_truth(store, person, end_ns + 7_000_000, end_ns))
