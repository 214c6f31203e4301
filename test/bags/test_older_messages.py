# SPDX-License-Identifier: Apache-2.0
"""Bags that were recorded with older definitions of the messages of this package."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.bags.bag import BagError, RawMessage, make_typestore, read_bag
from hybrid_pose_ros.bags.writer import BagWriter
from hybrid_pose_ros.interfaces.messages import pose_from_message
from hybrid_pose_ros.interfaces.topics import POSE

OLDER = {
    "Keypoint": "uint8 id\nfloat32 x\nfloat32 y\nfloat32 confidence\n",
    "PoseKeypoints": """uint8 ANN=0
uint8 SNN=1
std_msgs/Header header
uint64 sensor_time
uint32 width
uint32 height
uint8 source
int32 steps_since_init
int64 init_age
Keypoint[13] keypoints
""",
}
"""Definitions of version 0.1, before poses had velocities and variances."""


@pytest.fixture
def older_share(share: Path, tmp_path: Path) -> Path:
    """A folder of definitions of which two are older."""
    folder = tmp_path / "share" / "msg"
    shutil.copytree(share / "msg", folder)
    for name, text in OLDER.items():
        (folder / f"{name}.msg").write_text(text)
    return folder.parent


def write(path: Path, share: Path, storage: str) -> None:
    store = make_typestore(share)
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    pose = types["hybrid_pose_ros/msg/PoseKeypoints"](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id="cam"),
        sensor_time=70_000_000,
        width=346,
        height=260,
        source=1,
        steps_since_init=7,
        init_age=-1,
        keypoints=[
            types["hybrid_pose_ros/msg/Keypoint"](id=joint, x=joint + 0.5, y=3.0, confidence=0.25)
            for joint in range(13)
        ],
    )
    data = bytes(store.serialize_cdr(pose, POSE.type))
    with BagWriter(path, [POSE.under("/cam0")], store, storage=storage) as bag:
        bag.write(RawMessage("/cam0/pose", 1_000, data))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_poses_of_an_older_version_are_read_without_what_it_lacked(
    tmp_path: Path, share: Path, older_share: Path, storage: str
) -> None:
    write(tmp_path / "bag", older_share, storage)
    ((_, _, message),) = read_bag(tmp_path / "bag", make_typestore(share), ["/cam0/pose"])
    pose = pose_from_message(message)
    assert (pose.sensor_time_ns, pose.steps_since_init, pose.init_age_ns) == (70_000_000, 7, -1)
    np.testing.assert_array_equal(pose.keypoints[:, 0], np.arange(13) + 0.5)
    assert (pose.confidence == 0.25).all()
    assert np.isnan(pose.velocity).all() and np.isnan(pose.variance).all()
    assert (pose.id, pose.prediction_ns) == (0, 0)


def test_without_their_definition_they_are_refused_in_one_sentence(
    tmp_path: Path, share: Path, older_share: Path
) -> None:
    write(tmp_path / "bag", older_share, "sqlite3")

    with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
        database.execute("DELETE FROM message_definitions")
    with pytest.raises(BagError, match="/cam0/pose holds messages of another version of"):
        list(read_bag(tmp_path / "bag", make_typestore(share), ["/cam0/pose"]))
