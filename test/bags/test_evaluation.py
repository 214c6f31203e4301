# SPDX-License-Identifier: Apache-2.0
"""Errors of a bag's poses: of recorded ones, and of those made anew of its events."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rosbags.rosbag2 import Reader, Writer
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.convert import frame_id
from hybrid_pose_ros.bags.evaluation import PacketPoses, evaluate_events
from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.binning import Step
from hybrid_pose_ros.events.stream import StepStream
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
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator
from hybrid_pose_ros.pipeline.snn_estimator import SnnEstimator

from ..conftest import Refusal, written_bag

PERSON = np.stack((np.linspace(-0.2, 0.2, 13), np.zeros(13), np.linspace(1.6, 0.4, 13)), axis=-1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def packets(bag: Path, store: Typestore, topic: str) -> list[Any]:
    """Return the event packets of a topic."""
    with Reader(bag) as reader:
        links = [link for link in reader.connections if link.topic == topic]
        return [store.deserialize_cdr(data, EVENTS_TYPE) for _, _, data in reader.messages(links)]


def test_poses_are_those_of_an_ann_whose_answers_come_at_once(
    small_bag: Path, store: Typestore
) -> None:
    """The pipeline is put together by hand here: initialise before the first step after."""
    checkpoint = load_checkpoint()
    config = checkpoint.config
    pipeline = PacketPoses(checkpoint, 10.0)
    stream = StepStream(config.view.fit, config.step_ns, config.noise_filter)
    view = config.view.fit(*DHP19_SIZE)
    ann, snn = AnnEstimator(checkpoint, view), SnnEstimator(checkpoint, view)
    found, expected = [], []
    for packet in packets(small_bag, store, "/cam0/events"):
        found += pipeline.push(packet)
        step: Step
        for step in stream.push(packet).steps:
            if expected and step.index % 10 == 0:
                snn.initialise(ann.infer())
            expected.append(snn.step(step))
            ann.push(step)
    assert len(found) == 27
    assert [pose.init_age_ns >= 0 for pose in found] == [False] * 3 + [True] * 24
    for pose, other in zip(found, expected, strict=True):
        assert pose.sensor_time_ns == other.sensor_time_ns
        np.testing.assert_array_equal(pose.keypoints, other.keypoints)


def test_every_pose_of_the_bag_is_scored(small_bag: Path, store: Typestore) -> None:
    contents = inspect_bag(small_bag)
    done: list[float] = []
    report = evaluate_events(
        contents, contents.cameras, store, load_checkpoint(), progress=done.append
    )
    first, second = report["cameras"]["/cam0"], report["cameras"]["/cam1"]
    for figures in (first, second):
        assert figures["poses"] == 27
        assert figures["without_state"] == 3
        assert figures["scored"] == 24
        assert figures["mpjpe_px"] > 0
    assert first["mpjpe_px"] != second["mpjpe_px"]
    assert done[-1] == pytest.approx(0.28)


@pytest.fixture
def recorded_bag(tmp_path: Path, store: Typestore) -> Path:
    """Poses that are 2 px beside the truth, and poses in space that are 30 mm beside it."""
    path = tmp_path / "recorded"
    kinds = {
        "/a/camera_info": CAMERA_INFO_TYPE,
        "/a/pose": POSE_TYPE,
        "/pose_3d": POSE_3D_TYPE,
        GROUND_TRUTH.name: POSE_3D_TYPE,
    }
    with written_bag(path, store, kinds) as write:
        header = header_at(1, frame_id(0))
        write("/a/camera_info", 1, camera_info_message(DHP19_LIKE[0], header, DHP19_SIZE))
        keypoint = store.types["hybrid_pose_ros/msg/Keypoint"]
        points = DHP19_LIKE[0].project(PERSON)
        for step in range(5):
            now_ns = 10**9 + step * 10_000_000
            message = store.types[POSE_TYPE](
                header=header_at(now_ns, "a"),
                sensor_time=now_ns,
                prediction=0,
                id=0,
                width=346,
                height=260,
                source=1,
                steps_since_init=step,
                init_age=step * 10_000_000,
                keypoints=[
                    keypoint(
                        id=joint,
                        x=float(x) + 2,
                        y=float(y),
                        confidence=1.0,
                        variance=1.0,
                        velocity_x=0.0,
                        velocity_y=0.0,
                        velocity_variance=1.0,
                    )
                    for joint, (x, y) in enumerate(points)
                ],
            )
            write("/a/pose", now_ns, bytes(store.serialize_cdr(message, POSE_TYPE)))
            header = header_at(now_ns, WORLD_FRAME)
            beside = np.add(PERSON, (0, 0, 0.03))
            write("/pose_3d", now_ns, ground_truth_message(beside, now_ns, header))
            write(GROUND_TRUTH.name, now_ns, ground_truth_message(PERSON, now_ns, header))
    return path


def test_recorded_poses_are_scored_as_they_are(
    recorded_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "errors.json"
    assert main(["evaluate-bag", str(recorded_bag), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["cameras"].keys() == {"/a"}
    assert report["cameras"]["/a"]["scored"] == 5
    assert report["cameras"]["/a"]["mpjpe_px"] == pytest.approx(2.0, abs=1e-4)  # float32
    assert report["pose_3d"]["mpjpe_mm"] == pytest.approx(30.0, abs=1e-6)
    assert "MPJPE" in capsys.readouterr().out


def test_what_cannot_be_evaluated_is_said(
    recorded_bag: Path, tmp_path: Path, store: Typestore, refusal: Refusal
) -> None:
    assert "neither poses nor events" in refusal("evaluate-bag", recorded_bag, "--recompute")
    bag = tmp_path / "no_truth"
    with written_bag(bag, store, {"/events": EVENTS_TYPE}) as write:
        write("/events", 5, header_at(5, ""))
    assert "no ground truth on /ground_truth/pose_3d" in refusal("evaluate-bag", bag)


def test_lost_and_damaged_packets_of_a_bag_are_told(
    tmp_path: Path, small_bag: Path, store: Typestore, capfd: pytest.CaptureFixture[str]
) -> None:
    """One packet is cut off, and one is missing."""
    number = 0
    with Reader(small_bag) as reader, Writer(tmp_path / "bag", version=9) as writer:
        links = {
            link.id: writer.add_connection(link.topic, link.msgtype, typestore=store)
            for link in reader.connections
        }
        for link, stamp_ns, data in reader.messages():
            if link.topic == "/cam0/events":
                number += 1
                if number == 7:
                    continue
                if number == 5:
                    packet: Any = store.deserialize_cdr(data, EVENTS_TYPE)
                    packet.events = packet.events[:-1]
                    data = bytes(store.serialize_cdr(packet, EVENTS_TYPE))
            writer.write(links[link.id], stamp_ns, data)
    bag = str(tmp_path / "bag")
    assert main(["evaluate-bag", bag, "--recompute", "--cameras", "cam0"]) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert told == [
        f"hybrid-pose evaluate-bag: warning: {bag}: /cam0/events: 1 damaged packets are left out; "
        "1 packets were not recorded, their numbers say"
    ]
