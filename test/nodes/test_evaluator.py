# SPDX-License-Identifier: Apache-2.0
"""The running evaluator node."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Float64, Header

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.interfaces.messages import Sensor, pose_message
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, GROUND_TRUTH, Quality
from hybrid_pose_ros.metrics.running_errors import RunningEvaluation
from hybrid_pose_ros.msg import Keypoint3D, PoseKeypoints, PoseKeypoints3D
from hybrid_pose_ros.nodes.evaluator import EvaluatorNode
from hybrid_pose_ros.nodes.support import boundary
from hybrid_pose_ros.nodes.support.boundary import StartError
from hybrid_pose_ros.nodes.support.health import Level
from hybrid_pose_ros.pipeline.state import Pose

PERSON = np.stack((np.linspace(-0.2, 0.2, 13), np.zeros(13), np.linspace(1.6, 0.4, 13)), axis=-1)
CAMERA = DHP19_LIKE[0]
pytestmark = pytest.mark.usefixtures("asked_only")

STEP_NS = 10_000_000


def joints_message(joints: NDArray[np.float64], sensor_ns: int) -> PoseKeypoints3D:
    points = [
        Keypoint3D(id=joint, x=x, y=y, z=z, confidence=1.0)
        for joint, (x, y, z) in enumerate(joints.tolist())
    ]
    return PoseKeypoints3D(sensor_time=sensor_ns, keypoints=points)


def pose(points: NDArray[np.float64], sensor_ns: int, age_ns: int = 0) -> Pose:
    ones = np.ones(13, np.float32)
    return Pose(sensor_ns, points.astype(np.float32), ones, "snn", 0, age_ns)


class EvaluatorBench:
    """A running evaluator with its topics."""

    def __init__(self, bench: Any, **parameters: Any) -> None:
        self.bench = bench
        self.node = bench.run(EvaluatorNode, **parameters)
        self.truth = bench.publisher(PoseKeypoints3D, GROUND_TRUTH.name, profile(Quality(4000)))
        self.pose = bench.publisher(PoseKeypoints, "/cam0/pose", profile(Quality(4000)))
        self.pose_3d = bench.publisher(PoseKeypoints3D, "/pose_3d", profile(Quality(4000)))
        self.info = bench.publisher(CameraInfo, "/cam0/camera_info", profile(CAMERA_INFO.offered))

    def calibrate(self) -> None:
        self.info.publish(
            CameraInfo(width=CAMERA.width, height=CAMERA.height, p=CAMERA.matrix.ravel())
        )

    def wait(self, key: str, value: str) -> None:
        """Spin until the diagnostics show a figure."""
        self.bench.until(lambda: self.bench.report(self.node).values.get(key) == value)


def test_its_figures_are_those_of_the_offline_evaluation(bench: Any, tmp_path: Path) -> None:
    path = tmp_path / "errors.json"
    evaluator = EvaluatorBench(bench, cameras="cam0", report=str(path), rate_hz=20.0)
    errors = bench.collect(Float64, "/evaluator/cam0/error_px", profile(Quality(10)))
    means = bench.collect(Float64, "/evaluator/pose_3d/mpjpe_mm", profile(Quality(10)))
    evaluator.calibrate()
    rng = np.random.default_rng(0)
    offline = RunningEvaluation()
    offline.set_camera("/cam0", CAMERA)
    for step in range(20):
        now_ns = step * STEP_NS
        estimate = pose(
            CAMERA.project(PERSON) + rng.normal(0, 3, (13, 2)), now_ns, -1 if step < 2 else 0
        )
        joints = PERSON + rng.normal(0, 0.03, PERSON.shape)
        evaluator.truth.publish(joints_message(PERSON, now_ns))
        evaluator.pose.publish(pose_message(estimate, Header(), Sensor(346, 260)))
        evaluator.pose_3d.publish(joints_message(joints, now_ns))
        offline.add_truth(now_ns, PERSON)
        offline.add_pose("/cam0", now_ns, estimate.keypoints, has_state=estimate.init_age_ns >= 0)
        offline.add_pose_3d(now_ns, joints)
    evaluator.wait("/cam0 poses", "20")
    evaluator.wait("pose_3d poses", "20")
    evaluator.wait("poses waiting for truth", "0")
    bench.until(lambda: errors and means)
    assert errors[-1].data == pytest.approx(offline.sums["/cam0"].recent, abs=1e-9)
    bench.until(lambda: means[-1].data == pytest.approx(offline.sums_3d.mpjpe, abs=1e-9))
    assert bench.report(evaluator.node).level == Level.OK
    evaluator.node.stop()
    assert json.loads(path.read_text()) == offline.report()


def test_malformed_messages_are_counted(bench: Any) -> None:
    evaluator = EvaluatorBench(bench)
    evaluator.truth.publish(PoseKeypoints3D())
    evaluator.pose_3d.publish(PoseKeypoints3D())
    evaluator.pose.publish(PoseKeypoints(source=9))
    evaluator.wait("messages refused", "3")
    report = bench.report(evaluator.node)
    assert report.level == Level.OK
    assert report.message.startswith("starting: nothing to compare")


def test_a_trouble_is_named_for_each_camera(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bench.run(EvaluatorNode, cameras="cam0,cam1")
    lines: list[str] = []
    monkeypatch.setattr(boundary, "LOG_PERIOD_S", 3600.0)
    node.boundary._logger = SimpleNamespace(warning=lines.append)
    for name in ("cam0", "cam1"):
        poses = bench.publisher(PoseKeypoints, f"/{name}/pose", profile(Quality(4000)))
        infos = bench.publisher(CameraInfo, f"/{name}/camera_info", profile(CAMERA_INFO.offered))
        for _ in range(2):
            poses.publish(PoseKeypoints(source=9))
            infos.publish(CameraInfo(width=346, height=260))
    bench.until(lambda: bench.report(node).values["messages refused"] == "4")
    bench.until(lambda: len(lines) >= 4)
    topics = [line.split()[0].rstrip(":") for line in lines]
    assert sorted(topics) == ["/cam0/camera_info", "/cam0/pose", "/cam1/camera_info", "/cam1/pose"]


def test_poses_wait_for_a_calibration_that_is_none_at_first(bench: Any) -> None:
    evaluator = EvaluatorBench(bench)
    evaluator.truth.publish(joints_message(PERSON, 0))
    evaluator.pose.publish(
        pose_message(pose(CAMERA.project(PERSON), 0), Header(), Sensor(346, 260))
    )
    evaluator.info.publish(CameraInfo(width=346, height=260))
    evaluator.wait("poses waiting for truth", "1")
    evaluator.calibrate()
    evaluator.wait("poses waiting for truth", "0")
    assert bench.report(evaluator.node).values["/cam0 mpjpe px"] == "0.000"


def test_without_cameras_it_does_not_start(bench: Any) -> None:
    with pytest.raises(StartError, match="cameras: name at least one"):
        bench.run(EvaluatorNode, cameras="")


def test_a_report_that_cannot_be_written_is_no_crash(bench: Any, tmp_path: Path) -> None:
    node = bench.run(EvaluatorNode, report=str(tmp_path / "no" / "folder.json"))
    node.stop()
    assert not (tmp_path / "no").exists()


def test_a_camera_that_is_no_name_is_refused_in_a_sentence(bench: Any) -> None:
    with pytest.raises(StartError, match=r"/\.\./.*: no name of a topic; use letters") as caught:
        bench.run(EvaluatorNode, cameras="..")
    assert "\n" not in str(caught.value)
