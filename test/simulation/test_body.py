# SPDX-License-Identifier: Apache-2.0
"""The clothed body: where its parts are and what they look like."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid_pose_ros.simulation.body import PARTS, Body
from hybrid_pose_ros.simulation.motion import rotate_about_vertical
from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.skeleton import MIRROR, joint_id

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
        for part, (start, end) in {
            "upper_arm": ("shoulder", "elbow"),
            "forearm": ("elbow", "hand"),
            "thigh": ("hip", "knee"),
            "shank": ("knee", "foot"),
        }.items():
            bone = [joint_id(f"{side}_{start}"), joint_id(f"{side}_{end}")]
            assert np.array_equal(ends[:, NAMES.index(f"{side}_{part}")], JOINTS_M[:, bone])


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


def test_hair_is_not_the_colour_of_the_face(body: Body) -> None:
    head = body.textures[NAMES.index("head")]
    face, back = head[10:20, :8].mean(), head[10:20, 24:40].mean()
    crown = head[-4:].mean()
    assert abs(crown - back) < 0.15  # hair on top and behind
    assert abs(face - back) > 0.15
