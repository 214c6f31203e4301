# SPDX-License-Identifier: Apache-2.0
"""Live topics: a publisher in a thread of its own, seen by the viewer's discovery."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rclpy.context import Context
from rclpy.qos import QoSProfile
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE
from hybrid_pose_ros.msg import Keypoint, PoseKeypoints

pytest.importorskip("rerun")


@pytest.fixture
def poses() -> Iterator[None]:
    """Publishes a pose on /cam3/pose every 20 ms."""
    context = Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("poses", context=context)
    publisher = node.create_publisher(PoseKeypoints, "/cam3/pose", profile(POSE.offered))
    node.create_publisher(PoseKeypoints, "/cam4/pose", QoSProfile(depth=1))
    ended = threading.Event()

    def publish() -> None:
        step = 0
        while not ended.wait(0.02):
            step += 1
            message = PoseKeypoints(sensor_time=step * 10_000_000, width=346, height=260)
            message.keypoints = [
                Keypoint(id=joint, x=10.0 + joint, y=20.0, confidence=1.0) for joint in range(13)
            ]
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    yield
    ended.set()
    thread.join()
    node.destroy_node()
    context.shutdown()


def test_live_poses_are_saved(
    poses: None, store: Typestore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rerun.dataframe

    from hybrid_pose_ros.view import show
    from hybrid_pose_ros.view.entities import Scene

    ended = threading.Event()
    enough = 5

    class CountingScene(Scene):
        """Ends the viewing after some messages."""

        count = 0

        def add(self, *message: object) -> None:
            super().add(*message)  # type: ignore[arg-type]
            self.count += 1
            if self.count >= enough:
                ended.set()

    monkeypatch.setattr(show, "Scene", CountingScene)
    guard = threading.Timer(30.0, ended.set)
    guard.start()
    path = tmp_path / "live.rrd"
    show.show_live(store, ["/cam3"], wait_s=10.0, until=ended.is_set, save=path, url=None)
    guard.cancel()
    view = rerun.dataframe.load_recording(path).view(
        index="sensor_time", contents="/world/cam3/pose/joints"
    )
    table = view.select().read_all()
    positions = table["/world/cam3/pose/joints:Points2D:positions"].to_pylist()
    assert len(positions) >= enough
    assert positions[0] == [[10.0 + joint, 20.0] for joint in range(13)]
    assert all(ns % 10_000_000 == 0 for ns in table["sensor_time"].cast("int64").to_pylist())


def test_nothing_is_published(store: Typestore, tmp_path: Path) -> None:
    from hybrid_pose_ros.view.show import NothingToShowError, show_live

    with pytest.raises(NothingToShowError, match="nothing publishes events or poses"):
        show_live(store, [], wait_s=0.3, until=lambda: False, save=tmp_path / "x.rrd", url=None)
    assert not list(tmp_path.iterdir())
