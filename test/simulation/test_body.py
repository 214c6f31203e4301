# SPDX-License-Identifier: Apache-2.0
"""The clothed body: where its parts and markers are and what they look like."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hybrid_pose_ros.simulation.body import PARTS, Body
from hybrid_pose_ros.simulation.markers import markers_of, segment_axes
from hybrid_pose_ros.simulation.motion import rotate_about_vertical
from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.skeleton import JOINTS, MIRROR, joint_id

LEG = ("hip", "knee", "foot")
NAMES = [part.name for part in PARTS]
JOINTS_M = make_motion("standing", np.random.default_rng(0), 0.5, yaw=0.0).joints_m
"""Somebody who stands and faces +y."""


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.sample(np.random.default_rng(0))


def test_a_person_is_a_function_of_the_seed(body: Body) -> None:
    again, other = (Body.sample(np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(again.textures, body.textures)
    assert again.girth == body.girth != other.girth
    assert not np.allclose(other.textures, body.textures)


def test_shoes_point_to_where_the_person_faces(body: Body) -> None:
    for yaw, direction in ((0.0, (0, 1)), (np.pi / 2, (-1, 0)), (np.pi, (0, -1))):
        capsules = body.capsules(rotate_about_vertical(JOINTS_M, yaw))
        assert capsules.forward[:, :2] @ direction == pytest.approx(1.0, abs=0.1)
        for side in ("right", "left"):
            shoe = capsules.ends[:, NAMES.index(f"{side}_shoe")]
            assert np.all((shoe[:, 1] - shoe[:, 0])[:, :2] @ direction > 0.1)


def test_limbs_go_from_joint_to_joint(body: Body) -> None:
    ends = body.capsules(JOINTS_M).ends
    for side in ("right", "left"):
        for parts, (start, end) in {
            ("upper_arm",): ("shoulder", "elbow"),
            ("forearm",): ("elbow", "hand"),
            ("thigh",): ("hip", "knee"),
            ("calf", "shank"): ("knee", "foot"),
        }.items():
            places = [ends[:, NAMES.index(f"{side}_{part}")] for part in parts]
            assert np.array_equal(places[0][:, 0], JOINTS_M[:, joint_id(f"{side}_{start}")])
            assert np.array_equal(places[-1][:, 1], JOINTS_M[:, joint_id(f"{side}_{end}")])
            for before, after in pairwise(places):
                assert np.array_equal(before[:, 1], after[:, 0])


def test_the_mirrored_person_has_the_mirrored_body(body: Body) -> None:
    mirror = np.array((-1.0, 1.0, 1.0))
    mirrored = body.capsules(JOINTS_M[:, list(MIRROR)] * mirror)
    ends = body.capsules(JOINTS_M).ends
    for side, other in (("right", "left"), ("left", "right")):
        for part in ("upper_arm", "palm", "shank", "shoe", "flank"):
            seen = mirrored.ends[:, NAMES.index(f"{side}_{part}")]
            assert np.allclose(seen, ends[:, NAMES.index(f"{other}_{part}")] * mirror)
    assert np.allclose(mirrored.forward, body.capsules(JOINTS_M).forward * mirror)


def test_girth_is_a_factor_on_thickness_alone(body: Body) -> None:
    stout = replace(body, girth=2 * body.girth).capsules(JOINTS_M)
    slim = body.capsules(JOINTS_M)
    assert np.allclose(stout.radii, 2 * slim.radii)
    assert np.array_equal(stout.ends, slim.ends)


def test_a_face_has_eyes_in_front() -> None:
    faces = np.stack(
        [
            Body.sample(np.random.default_rng(seed)).textures[NAMES.index("face")]
            for seed in range(9)
        ]
    )
    eyes = faces[:, 21:24, [4, 5, 59, 60]].mean()
    assert eyes < 0.8 * faces[:, 10:16, 10:20].mean()  # darker than the cheeks
    assert eyes < 0.8 * faces[:, 21:24, 28:36].mean()


def test_reflectances_are_those_of_cloth_and_skin() -> None:
    for seed in range(20):
        textures = Body.sample(np.random.default_rng(seed)).textures
        assert textures.min() > 0.0 and textures.mean() < 1.0


def test_marks_on_top_and_in_front() -> None:
    markers = markers_of(JOINTS_M) - JOINTS_M  # of a person who faces +y
    ahead = {name: markers[:, joint_id(name), 1].mean() for name in JOINTS}
    above = {name: markers[:, joint_id(name), 2].mean() for name in JOINTS}
    assert above["head"] > 0.1
    for side in ("right", "left"):
        assert above[f"{side}_shoulder"] > 0.05
        for joint in ("hip", "knee", "foot"):
            assert ahead[f"{side}_{joint}"] > 0.04


def test_markers_turn_with_the_body_and_mirror_with_it() -> None:
    markers = markers_of(JOINTS_M)
    turned = markers_of(rotate_about_vertical(JOINTS_M, 1.3))
    assert np.allclose(turned, rotate_about_vertical(markers, 1.3))
    mirror = np.array((-1.0, 1.0, 1.0))
    mirrored = markers_of(JOINTS_M[:, list(MIRROR)] * mirror)
    assert np.allclose(mirrored, markers[:, list(MIRROR)] * mirror)


def test_a_marker_keeps_its_distance_to_its_joint_and_never_leaps() -> None:
    for name in ("kick_left", "star_jumps", "knee_lift_right", "clap"):
        joints = make_motion(name, np.random.default_rng(1), 3.0).joints_m
        offsets = markers_of(joints) - joints
        assert np.ptp(np.linalg.norm(offsets, axis=-1), axis=0).max() < 1e-9
        axes = segment_axes(joints)
        assert np.allclose(axes @ np.swapaxes(axes, -1, -2), np.eye(3), atol=1e-9)
        legs = [joint_id(f"{side}_{joint}") for side in ("right", "left") for joint in LEG]
        assert np.abs(np.diff(offsets[:, legs], axis=0)).max() < 0.03
