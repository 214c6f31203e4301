# SPDX-License-Identifier: Apache-2.0
"""Errors of poses that come one by one: exact values, and no dependence on who comes first."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, Camera
from hybrid_pose_ros.metrics.running_errors import (
    KEEP_TRUTH_NS,
    MAX_LABEL_GAP_NS,
    MAX_WAITING,
    RunningEvaluation,
    format_report,
)
from hybrid_pose_ros.skeleton import joint_id

MS = 1_000_000
CAMERA = DHP19_LIKE[0]
PERSON = np.stack((np.linspace(-0.2, 0.2, 13), np.zeros(13), np.linspace(1.6, 0.4, 13)), axis=-1)


def person(x_m: float = 0.0) -> NDArray[np.float64]:
    return np.add(PERSON, (x_m, 0, 0))


@pytest.fixture
def evaluation() -> RunningEvaluation:
    evaluation = RunningEvaluation()
    evaluation.set_camera("/cam0", CAMERA)
    return evaluation


def test_errors_are_distances_to_the_projected_truth(evaluation: RunningEvaluation) -> None:
    points = CAMERA.project(PERSON)
    points[3] += (3.0, 4.0)
    points[0] += (0.0, 1.0)
    evaluation.add_truth(0, PERSON)
    evaluation.add_pose("/cam0", 0, points, has_state=True)
    report = evaluation.report()["cameras"]["/cam0"]
    assert report["mpjpe_px"] == pytest.approx(6.0 / 13, abs=1e-9)
    assert report["joints_px"]["right_elbow"] == pytest.approx(5.0, abs=1e-9)
    assert report["joints_px"]["head"] == pytest.approx(1.0, abs=1e-9)
    assert report["scored"] == report["poses"] == 1
    assert evaluation.report()["pose_3d"] is None


def test_errors_in_space_are_in_millimetres(evaluation: RunningEvaluation) -> None:
    found = person()
    found[5, 2] += 0.1  # 100 mm
    found[6, 0] += 0.2  # beyond the threshold of PCK
    found[7] = np.nan
    evaluation.add_truth(0, PERSON)
    evaluation.add_pose_3d(0, found)
    report = evaluation.report()["pose_3d"]
    assert report["mpjpe_mm"] == pytest.approx(300 / 12, abs=1e-9)
    assert report["joints_mm"]["right_hand"] is None
    assert report["joints_missing"] == 1
    assert report["pck"] == pytest.approx(11 / 13)


def test_pck_is_relative_to_the_torso(evaluation: RunningEvaluation) -> None:
    truth = CAMERA.project(PERSON)
    torso = max(
        np.linalg.norm(truth[joint_id(a)] - truth[joint_id(b)])
        for a, b in (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))
    )
    points = truth.copy()
    points[0, 0] += 0.19 * torso
    points[1, 0] += 0.21 * torso
    evaluation.add_truth(0, PERSON)
    evaluation.add_pose("/cam0", 0, points, has_state=True)
    assert evaluation.report()["cameras"]["/cam0"]["pck"] == pytest.approx(12 / 13)


def test_truth_between_labels_lies_on_the_line_between_them(evaluation: RunningEvaluation) -> None:
    evaluation.add_truth(0, person(0.0))
    evaluation.add_pose_3d(3 * MS, person(0.03))
    assert evaluation.waiting == 1  # the label after it has not come
    evaluation.add_truth(10 * MS, person(0.1))
    assert evaluation.waiting == 0
    assert evaluation.sums_3d.mpjpe == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("labels", "moment_ns"),
    [
        ([10 * MS, 20 * MS], 9 * MS),
        ([0, MAX_LABEL_GAP_NS + 1], MS),
        ([0, MS, KEEP_TRUTH_NS, 2 * KEEP_TRUTH_NS], 3 * MS),
    ],
    ids=["before the first", "in a gap", "between labels far apart"],
)
def test_moments_without_truth_are_counted(
    evaluation: RunningEvaluation, labels: list[int], moment_ns: int
) -> None:
    for label_ns in labels:
        evaluation.add_truth(label_ns, PERSON)
    evaluation.add_pose("/cam0", moment_ns, np.zeros((13, 2)), has_state=True)
    sums = evaluation.sums["/cam0"]
    assert (sums.poses, sums.unlabelled, sums.scored) == (1, 1, 0)
    assert sums.mpjpe is None


def test_joints_out_of_the_image_or_unknown_do_not_count(evaluation: RunningEvaluation) -> None:
    truth = person()
    truth[0] = np.nan
    truth[1] += (5.0, 0.0, 0.0)
    truth[2] = 3 * CAMERA.centre - 2 * PERSON[2]  # behind the camera, projected into the image
    evaluation.add_truth(0, truth)
    evaluation.add_pose("/cam0", 0, np.add(CAMERA.project(PERSON), (0, 2.0)), has_state=True)
    assert evaluation.sums["/cam0"].counts.tolist() == [0, 0, 0] + [1] * 10
    assert evaluation.sums["/cam0"].mpjpe == pytest.approx(2.0)


def test_poses_before_the_first_initialisation_are_not_scored(
    evaluation: RunningEvaluation,
) -> None:
    evaluation.add_truth(0, PERSON)
    evaluation.add_pose("/cam0", 0, np.zeros((13, 2)), has_state=False)
    sums = evaluation.sums["/cam0"]
    assert (sums.poses, sums.without_state, sums.scored, sums.unlabelled) == (1, 1, 0, 0)


def test_poses_wait_for_the_calibration_but_not_without_end() -> None:
    evaluation = RunningEvaluation()
    evaluation.add_truth(0, PERSON)
    for _ in range(MAX_WAITING + 5):
        evaluation.add_pose("/cam0", 0, CAMERA.project(PERSON), has_state=True)
    assert evaluation.sums["/cam0"].unlabelled == 5
    evaluation.set_camera("/cam0", CAMERA)
    assert evaluation.sums["/cam0"].scored == MAX_WAITING
    evaluation.finish()
    assert evaluation.sums["/cam0"].unlabelled == 5


def test_a_second_pass_adds_to_the_first(evaluation: RunningEvaluation) -> None:
    for _ in range(2):
        for moment_ns in range(0, 50 * MS, 10 * MS):
            evaluation.add_truth(moment_ns, PERSON)
            evaluation.add_pose_3d(moment_ns, np.add(PERSON, (0, 0, 0.001)))
    evaluation.add_pose_3d(60 * MS, PERSON)
    evaluation.add_truth(0, PERSON)  # a third pass: what waited for the second gets no label
    assert (evaluation.sums_3d.scored, evaluation.sums_3d.unlabelled) == (10, 1)
    assert evaluation.sums_3d.mpjpe == pytest.approx(1.0)


def test_recent_error_is_that_of_the_newest_poses(evaluation: RunningEvaluation) -> None:
    for step in range(300):
        evaluation.add_truth(step * 10 * MS, PERSON)
        error_m = 0.01 if step < 200 else 0.03
        evaluation.add_pose_3d(step * 10 * MS, np.add(PERSON, (0, 0, error_m)))
    assert evaluation.sums_3d.recent == pytest.approx(30.0)
    assert evaluation.sums_3d.mpjpe == pytest.approx((200 * 10 + 100 * 30) / 300)


@given(st.randoms(use_true_random=False))
def test_figures_do_not_depend_on_who_comes_first(random: object) -> None:
    """Each stream is in order; how the streams interleave is left to chance."""
    cameras: list[tuple[str, Camera]] = [("/cam0", DHP19_LIKE[0]), ("/cam1", DHP19_LIKE[1])]

    def streams(evaluation: RunningEvaluation) -> list[list[Callable[[], None]]]:
        noise = np.random.default_rng(7)
        found: list[list[Callable[[], None]]] = [[], [], [], []]
        for step in range(12):
            label_ns, moment_ns = step * 10 * MS - 4 * MS, step * 10 * MS
            joints = person(0.01 * step)
            found[0].append(lambda t=label_ns, j=joints: evaluation.add_truth(t, j))
            for number, (name, camera) in enumerate(cameras):
                points = camera.project(joints) + noise.normal(size=(13, 2))
                found[1 + number].append(
                    lambda n=name, t=moment_ns, p=points: evaluation.add_pose(
                        n, t, p, has_state=True
                    )
                )
            space = joints + noise.normal(size=(13, 3)) * 0.01
            found[3].append(lambda t=moment_ns, j=space: evaluation.add_pose_3d(t, j))
        for name, camera in cameras:
            found.append([lambda n=name, c=camera: evaluation.set_camera(n, c)])
        return found

    def run(order: Callable[[list[int]], int]) -> dict[str, object]:
        evaluation = RunningEvaluation()
        left = streams(evaluation)
        while any(left):
            chosen = order([number for number, stream in enumerate(left) if stream])
            left[chosen].pop(0)()
        evaluation.finish()
        return evaluation.report()

    assert run(random.choice) == run(lambda numbers: numbers[0])  # type: ignore[attr-defined]


def test_table_of_nothing_says_so() -> None:
    assert format_report(RunningEvaluation().report()) == "no pose has come"


def test_table_shows_every_camera_and_joint(evaluation: RunningEvaluation) -> None:
    evaluation.add_truth(0, PERSON)
    evaluation.add_pose("/cam0", 0, np.add(CAMERA.project(PERSON), (1.5, 0)), has_state=True)
    evaluation.add_pose_3d(0, np.add(PERSON, (0.012, 0, 0)))
    lines = format_report(evaluation.report()).splitlines()
    assert lines[0].split() == ["/cam0", "3D"]
    assert ["MPJPE", "1.50", "12.00"] in [line.split() for line in lines]
    assert len([line for line in lines if line.startswith(("left ", "right "))]) == 12
