# SPDX-License-Identifier: Apache-2.0
"""The running triangulator node."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    camera_from_info,
    camera_info_message,
    joints_from_message,
    pose_message,
    stamp_from_ns,
)
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, MARKERS, POSE
from hybrid_pose_ros.msg import PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.nodes.support import base, boundary
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.nodes.triangulator import TriangulatorNode
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.skeleton import JOINTS

PERSON = np.stack((np.linspace(-0.2, 0.2, 13), np.zeros(13), np.linspace(1.6, 0.4, 13)), axis=-1)
pytestmark = pytest.mark.usefixtures("asked_only")

STEP_NS = 10_000_000
NAMES = ("cam0", "cam1", "cam2", "cam3")


class Rig:
    """A running triangulator with the topics of its cameras."""

    def __init__(self, bench: Any, count: int, **parameters: Any) -> None:
        self.bench = bench
        names = NAMES[:count]
        patient = {"max_wait_ms": 10_000.0, **parameters}  # other programs may stop this one
        self.node = bench.run(TriangulatorNode, cameras=",".join(names), **patient)
        self.cameras = dict(zip(names, DHP19_LIKE, strict=False))
        self.out = bench.collect(PoseKeypoints3D, "/pose_3d", profile(POSE.offered))
        self.pose = {
            n: bench.publisher(PoseKeypoints, f"/{n}/pose", profile(POSE.offered)) for n in names
        }

    def see(
        self,
        name: str,
        step: int,
        shift_px: float = 0.0,
        age_ns: int = 0,
        size: tuple[int, int] | None = None,
        hidden: str = "",
    ) -> None:
        """Publish a camera's view of the person, of which a joint may be hidden."""
        camera = self.cameras[name]
        points: NDArray[np.float64] = camera.project(PERSON) + shift_px
        seen = np.array([joint != hidden for joint in JOINTS], np.float32)
        estimate = Pose(step * STEP_NS, points.astype(np.float32), seen, "snn", 0, age_ns)
        header = Header(stamp=stamp_from_ns(10**18 + step * STEP_NS), frame_id=name)
        sensor = Sensor(*(size or (camera.width, camera.height)))
        self.pose[name].publish(pose_message(estimate, header, sensor))

    def await_poses(self, count: int) -> None:
        self.bench.until(lambda: len(self.out) >= count)


@pytest.fixture
def calibration(tmp_path: Path) -> str:
    """A calibration file of four cameras."""
    path = tmp_path / "cameras.yaml"
    cameras = {
        name: {"width": c.width, "height": c.height, "projection": c.matrix.tolist()}
        for name, c in zip(NAMES, DHP19_LIKE, strict=True)
    }
    path.write_text(yaml.safe_dump({"cameras": cameras}))
    return str(path)


def test_poses_in_space_and_what_is_said_about_them(bench: Any, calibration: str) -> None:
    rig = Rig(bench, 4, calibration=calibration)
    for name in NAMES:
        rig.see(name, 7, shift_px=50.0 if name == "cam2" else 0.0)
    rig.await_poses(1)
    [pose] = rig.out
    assert pose.sensor_time == 7 * STEP_NS
    assert pose.views == 3
    assert pose.header.frame_id == "world"
    assert pose.header.stamp == stamp_from_ns(10**18 + 7 * STEP_NS)
    assert joints_from_message(pose) == pytest.approx(PERSON, abs=1e-5)  # pixels are float32
    report = bench.report(rig.node)
    assert report.level == Level.OK
    assert report.values["cam1 part of poses in space"] == "1.00"
    assert report.values["cam2 part of poses in space"] == "0.00"
    assert report.values["mean reprojection error (px)"] == "0.00"


def test_two_go_on_when_the_third_falls_silent(bench: Any, calibration: str) -> None:
    rig = Rig(bench, 3, calibration=calibration, max_wait_ms=50.0)
    for name in NAMES[:3]:
        rig.see(name, 0)
    rig.await_poses(1)
    for step in (1, 2, 3):
        rig.see("cam0", step)
        rig.see("cam2", step)
    rig.await_poses(4)
    assert [pose.views for pose in rig.out] == [3, 2, 2, 2]
    report = bench.report(rig.node)
    assert report.level == Level.WARN
    assert report.message == "no poses, or too late: cam1"


def test_the_calibration_may_come_from_the_cameras(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(bench, 2)
    infos = {
        name: bench.publisher(CameraInfo, f"/{name}/camera_info", profile(CAMERA_INFO.offered))
        for name in NAMES[:2]
    }
    report = bench.report(rig.node)
    assert report.level == Level.OK
    assert "starting: no calibration yet: cam0, cam1" in report.message
    monkeypatch.setattr(base, "SETTLE_S", 0.0)
    assert bench.report(rig.node).level == Level.ERROR

    def known() -> str:
        return bench.report(rig.node).message

    infos["cam0"].publish(camera_info_message(DHP19_LIKE[0], Header()))
    bench.until(lambda: known() == "no calibration yet: cam1")
    incidents = rig.node.boundary.incidents
    infos["cam1"].publish(camera_info_message(DHP19_LIKE[0], Header()))  # the same place
    bench.until(lambda: incidents.refused == 1)
    infos["cam1"].publish(CameraInfo(width=346, height=260))  # none
    bench.until(lambda: incidents.refused == 2)
    infos["cam1"].publish(camera_info_message(DHP19_LIKE[1], Header()))
    bench.until(lambda: "no calibration" not in known())
    for name in NAMES[:2]:
        rig.see(name, 0)
    rig.await_poses(1)
    assert joints_from_message(rig.out[0]) == pytest.approx(PERSON, abs=1e-5)


def test_a_camera_info_goes_there_and_back() -> None:
    for camera in DHP19_LIKE:
        message = camera_info_message(camera, Header(frame_id="x"))
        back = camera_from_info(message)
        assert back is not None
        assert (back.matrix == camera.matrix).all()
        k, r = np.reshape(message.k, (3, 3)), np.reshape(message.r, (3, 3))
        assert k @ r == pytest.approx(camera.matrix[:, :3])


def test_poses_that_cannot_be_used_are_not_used(bench: Any, calibration: str) -> None:
    rig = Rig(bench, 2, calibration=calibration)
    rig.pose["cam0"].publish(PoseKeypoints(source=9))
    rig.see("cam0", 0, size=(640, 480))
    rig.see("cam0", 0, age_ns=-1)
    rig.see("cam1", 0, age_ns=-1)
    rig.see("cam0", 1)
    rig.see("cam1", 1)
    rig.await_poses(1)
    assert rig.out[0].sensor_time == STEP_NS
    assert bench.report(rig.node).values["messages refused"] == "2"


def test_a_trouble_is_named_for_each_camera(
    bench: Any, calibration: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(bench, 2, calibration=calibration)
    lines: list[str] = []
    monkeypatch.setattr(boundary, "LOG_PERIOD_S", 3600.0)
    rig.node.boundary._logger = SimpleNamespace(warning=lines.append)
    for _ in range(2):
        rig.pose["cam0"].publish(PoseKeypoints(source=9))
        rig.see("cam1", 0, size=(640, 480))
    bench.until(lambda: bench.report(rig.node).values["messages refused"] == "4")
    assert sorted(lines) == [
        "cam0/pose: refused: unknown pose source 9",
        "cam1/pose: refused: its image has 640x480 pixels, the calibration 346x260",
    ]


def test_markers_have_fixed_ids_and_vanish_by_themselves(bench: Any, calibration: str) -> None:
    rig = Rig(bench, 2, calibration=calibration)
    markers = bench.collect(MarkerArray, "/markers_3d", profile(MARKERS.offered))
    rig.see("cam0", 0)
    rig.see("cam1", 0)
    bench.until(lambda: markers)
    assert [marker.id for marker in markers[0].markers] == [0, 1]
    for marker in markers[0].markers:
        assert marker.header.frame_id == "world"
        assert marker.action == Marker.ADD
        assert 0 < marker.lifetime.sec + marker.lifetime.nanosec * 1e-9 < 1
    head = markers[0].markers[1].points[0]
    assert (head.x, head.y, head.z) == pytest.approx(PERSON[0], abs=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cameras": "cam0"}, "two cameras or more"),
        ({"cameras": "cam0,/cam0"}, "two cameras or more"),
        ({"calibration": "/no/such.yaml"}, "calibration: /no/such.yaml: no such file"),
    ],
)
def test_a_wrong_start_says_what_is_wrong(
    bench: Any, parameters: dict[str, str], message: str
) -> None:
    with pytest.raises(StartError, match=message):
        bench.run(TriangulatorNode, **parameters)


def test_joints_that_are_known_are_frames_on_request(
    bench: Any, calibration: str, frames: list[Any]
) -> None:
    rig = Rig(bench, 2, calibration=calibration, publish_tf=True, tf_prefix="b1_")
    for name in NAMES[:2]:
        rig.see(name, 0, hidden="left_hand" if name == "cam1" else "")
    rig.await_poses(1)
    [message] = frames
    found = {frame.child_frame_id: frame for frame in message.transforms}
    assert list(found) == [f"b1_{joint}" for joint in JOINTS if joint != "left_hand"]
    for joint, place in zip(JOINTS, PERSON, strict=True):
        if frame := found.get(f"b1_{joint}"):
            assert frame.header == rig.out[0].header
            move, turn = frame.transform.translation, frame.transform.rotation
            assert (move.x, move.y, move.z) == pytest.approx(place, abs=1e-5)
            assert (turn.x, turn.y, turn.z, turn.w) == (0, 0, 0, 1)


def test_the_real_message_takes_frames(bench: Any, calibration: str) -> None:
    tf2 = pytest.importorskip("tf2_msgs.msg")
    rig = Rig(bench, 2, calibration=calibration, publish_tf=True)
    frames = bench.collect(tf2.TFMessage, "/tf", profile(POSE.offered))
    rig.see("cam0", 0)
    rig.see("cam1", 0)
    bench.until(lambda: frames)
    names = [transform.child_frame_id for transform in frames[0].transforms]
    assert names == [f"person_{joint}" for joint in JOINTS]
