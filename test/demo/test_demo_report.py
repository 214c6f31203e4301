# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rich.console import Console
from std_msgs.msg import Header

from hybrid_pose_ros.demo.page import slowness
from hybrid_pose_ros.demo.report import (
    MAX_WARNINGS,
    Measurements,
    ReceivedPose,
    errors_px,
    held_inits,
    latency_ms,
    rate_hz,
    rounded,
    sensor_rate_hz,
    summarise,
)
from hybrid_pose_ros.demo.table import live_table
from hybrid_pose_ros.interfaces.messages import (
    Sensor,
    StateInitMessage,
    pose_message,
    stamp_from_ns,
)
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.simulation.recording import Truth

MS = 1_000_000
START = 1_700_000_000 * 10**9
"""Host time of the first packet."""


def estimate(sensor_ms: float, offset_px: float = 0.0, **changes: object) -> Pose:
    """A pose that is ``offset_px`` to the right of where `truth` has all joints."""
    values = {
        "sensor_time_ns": round(sensor_ms * MS),
        "keypoints": np.full((13, 2), (sensor_ms + offset_px, 50.0), np.float32),
        "confidence": np.full(13, 0.9, np.float32),
        "source": "snn",
        "steps_since_init": 3,
        "init_age_ns": 30 * MS,
    }
    return Pose(**(values | changes))  # type: ignore[arg-type]


def arrived(pose: Pose, stamp_ms: float, latency: float) -> ReceivedPose:
    stamp_ns = START + round(stamp_ms * MS)
    return ReceivedPose(stamp_ns, stamp_ns + round(latency * MS), pose)


def truth() -> Truth:
    """All joints move to the right by one pixel per ms; the head is outside the image at first."""
    label_ns = np.arange(10, 210, 10, dtype=np.int64) * MS
    keypoints = np.full((len(label_ns), 13, 2), 50.0, np.float32)
    keypoints[:, :, 0] = (label_ns / MS)[:, None]
    visible = np.ones((len(label_ns), 13), bool)
    visible[:3, 0] = False
    return Truth(
        label_ns, keypoints, np.zeros((20, 13, 3), np.float32), visible, np.eye(3, 4), "t"
    )


def test_latency_is_arrival_minus_publication() -> None:
    poses = [arrived(estimate(t), t, latency) for t, latency in enumerate(range(1, 102))]
    assert latency_ms(poses) == pytest.approx({"p50": 51.0, "p99": 100.0, "max": 101.0})
    assert latency_ms([]) == {"p50": None, "p99": None, "max": None}


def test_rate_counts_intervals() -> None:
    assert rate_hz([0, 10 * MS, 20 * MS]) == pytest.approx(100.0)
    assert rate_hz([5]) is None
    assert rate_hz([]) is None


def test_rate_of_sensor_time_skips_where_it_goes_back() -> None:
    poses = [arrived(estimate(sensor_ms), 0, 0) for sensor_ms in (80, 90, 100, 10, 20, 30)]
    assert sensor_rate_hz(poses) == pytest.approx(100.0)
    assert sensor_rate_hz(poses[:1]) is None


def test_truth_between_labels_is_interpolated() -> None:
    points, known = truth().at(np.array([45, 100]) * MS)
    np.testing.assert_allclose(points[:, 3], [(45, 50), (100, 50)])
    assert known.all()


def test_truth_is_unknown_outside_the_labels_and_the_image() -> None:
    _, known = truth().at(np.array([5, 10, 25, 35, 40, 200, 201]) * MS)
    # The label at 30 ms has the head outside: so does whatever is interpolated from it.
    assert known[:, 0].tolist() == [False, False, False, False, True, True, False]
    assert known[:, 1].tolist() == [False, True, True, True, True, True, False]


def test_the_held_pose_is_the_latest_that_had_arrived() -> None:
    inits = [arrived(estimate(100), 100, 20), arrived(estimate(200), 200, 20)]
    poses = [arrived(estimate(t), t, 0) for t in (110, 120, 210, 230)]
    held = held_inits(poses, inits)
    assert held[0] is None
    assert [pose.sensor_time_ns // MS for pose in held[1:]] == [100, 100, 200]  # type: ignore[union-attr]


def test_errors_are_means_over_the_same_moments() -> None:
    inits = [arrived(estimate(100, 0.0), 100, 1)]
    poses = [
        arrived(estimate(90, 500.0, steps_since_init=-1, init_age_ns=-1), 90, 1),
        arrived(estimate(110, 2.0), 110, 1),
        arrived(estimate(120, 4.0), 120, 1),
    ]
    snn, ann = errors_px(poses, inits, truth())
    assert snn == pytest.approx(3.0)
    assert ann == pytest.approx(15.0)  # held from 100 ms: 10 px and 20 px behind
    assert errors_px(poses, [], truth()) == (None, None)
    late = [arrived(estimate(900), 900, 1)]
    assert errors_px(late, inits, truth()) == (None, None)


def report(node: str, level: int, message: str, **values: int) -> DiagnosticArray:
    status = DiagnosticStatus(
        level=bytes([level]),
        name=f"/cam0/{node}: hybrid_pose_ros",
        message=message,
        values=[KeyValue(key=k.replace("_", " "), value=str(v)) for k, v in values.items()],
    )
    return DiagnosticArray(header=Header(stamp=stamp_from_ns(START)), status=[status])


def header(stamp_ms: float) -> Header:
    return Header(stamp=stamp_from_ns(START + round(stamp_ms * MS)))


def run_of_100_ms() -> Measurements:
    """Ten steps: a packet each 5 ms, the first pose 4 px off and before any initialisation."""
    measured = Measurements("/cam0")
    sensor = Sensor(346, 260)
    for packet in range(21):
        measured.add("/cam0/events", START + packet * 5 * MS, EventPacket())
    ann = estimate(100.0, 1.0, source="ann")
    init = StateInitMessage(model_id="abc", pose=pose_message(ann, header(0), sensor))
    init.header = header(0)
    measured.add("/cam0/state_init", START + 8 * MS, init)
    for step in range(11):
        pose = estimate(100 + 10 * step, 4.0 if step else 0.0, init_age_ns=step * 10 * MS)
        if step == 0:
            pose = estimate(100, 0.0, steps_since_init=-1, init_age_ns=-1)
        message = pose_message(pose, header(10 * step), sensor)
        measured.add("/cam0/pose", START + (10 * step + 3) * MS, message)
    driver = {"packets_published": 21, "events_published": 1234}
    measured.add("/diagnostics", START, report("event_driver", 0, "ok", **driver))
    snn = {
        "packets_received": 20,
        "packets_malformed": 0,
        "steps_merged": 2,
        "initialisations_accepted": 6,
        "initialisations_refused": 1,
    }
    measured.add("/diagnostics", START, report("snn", 1, "overload", **snn))
    measured.add("/diagnostics", START, report("ann", 0, "ok", inferences_skipped=5))
    return measured


def test_summary_of_a_run() -> None:
    summary = rounded(summarise(run_of_100_ms(), truth()))
    assert summary == {
        "model": None,
        "model_id": "abc",
        "duration_s": 0.1,
        "events": 1234,
        "packets_published": 21,
        "packets_received": 20,
        "packets_received_recorder": 21,
        "packets_malformed": 0,
        "poses": 11,
        "poses_before_init": 1,
        "pose_rate_hz": 100.0,
        "pose_rate_per_sensor_second_hz": 100.0,
        "inits": 1,
        "init_rate_hz": None,
        "inits_accepted": 6,
        "inits_refused": 1,
        "inferences_skipped": 5,
        "steps_merged": 2,
        "latency_ms": {"p50": 3.0, "p99": 3.0, "max": 3.0},
        "init_latency_ms": {"p50": 8.0, "p99": 8.0, "max": 8.0},
        "state_age_ms": {"mean": 55.0, "max": 100.0},
        "joints_confident_mean": 13.0,
        "mpjpe_px": 4.0,
        "mpjpe_ann_held_px": 54.0,  # 1 px to the right at first, then 10 px less each step
        "warnings": {"snn": ["overload"]},
    }
    json.dumps(summary, allow_nan=False)


def test_a_machine_that_is_too_slow_is_named_with_the_remedy() -> None:
    kept_up = {"rate": 1.0, "poses": 1990, "steps_merged": 10, "inits": 200}
    assert slowness(kept_up | {"inferences_skipped": 3}) == ""
    late = {"rate": 1.0, "poses": 1000, "steps_merged": 1000, "inits": 150}
    assert slowness(late | {"inferences_skipped": 50}) == (
        "This machine was too slow: 1000 of 2000 steps were merged into later ones, and 50 of "
        "200 runs of the ANN left out, so the poses come late and are worse than they are "
        "elsewhere. End other programs, or play the events slower: --rate 0.4"
    )
    assert slowness(kept_up | {"inferences_skipped": 600}).endswith("--rate 0.2")


def test_summary_of_nothing_says_so_instead_of_failing() -> None:
    summary = summarise(Measurements("/cam0"), None)
    assert summary["poses"] == 0
    assert summary["packets_published"] is None
    assert summary["mpjpe_px"] is None
    json.dumps(rounded(summary), allow_nan=False)


def test_a_chatty_node_keeps_its_first_different_warnings() -> None:
    measured = Measurements("/cam0")
    for number in range(30):
        measured.add("/diagnostics", START, report("ann", 2, f"trouble {number // 2}"))
    measured.add("/diagnostics", START, report("ann", 0, "ok"))
    health = measured.health["ann"]
    assert health.warnings == [f"trouble {number}" for number in range(MAX_WARNINGS)]
    assert (health.level, health.message) == (0, "ok")


def test_the_table_shows_the_figures_of_the_last_seconds() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(live_table(run_of_100_ms(), truth(), title="walk", ended=["ann"]))
    text = capture.get()
    assert "200.0 packets/s" in text
    assert "100.0 poses/s" in text
    assert "3.0 ms, p99 3.0" in text
    assert "4.0 px" in text
    assert "held meanwhile: 54.0 px" in text
    assert "13 of 13 joints" in text
    assert "overload" in text
    assert [word in text for word in ("process ended", "state 100 ms old")] == [True, True]


def test_the_table_of_a_run_that_has_not_begun() -> None:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(live_table(Measurements("/cam0"), None, title="walk", ended=[]))
    assert "waiting" in capture.get()
