# SPDX-License-Identifier: Apache-2.0
"""The test set: performances by people who were never trained on, seen by two cameras, binned.

Every performance is a function of the seed, its kind, its name and the number of the person. The
seeds cannot be those of training data, whose second word is the number of a split.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, Camera, load_dhp19_cameras
from hybrid_pose_ros.networks.config import ModelConfig, ViewConfig
from hybrid_pose_ros.research.evaluation.published import FRONT_CHANNELS, WINDOW_NS
from hybrid_pose_ros.simulation.markers import markers_of
from hybrid_pose_ros.simulation.mocap import draw_clip, load_clip, vary
from hybrid_pose_ros.simulation.motion import Motion
from hybrid_pose_ros.simulation.movements import PLACE_M, SESSIONS, make_motion
from hybrid_pose_ros.simulation.recording import Recording, Scene, simulate_recording
from hybrid_pose_ros.skeleton import NUM_JOINTS

TICK_NS: Final = 1_000_000
"""Bins of the test set: steps of all models are whole numbers of them."""

INSTANT_NS: Final = 10_000_000
"""Poses are compared at these intervals, those of the labels."""

LEAD_NS: Final = 1_100_000_000
"""Time before the first pose that counts: the ANN's history, and an earlier window for
answers that come late."""

MOVEMENT_NAMES: Final = tuple(name for session in SESSIONS for name in session)
"""DHP19's 33 movements."""

_TAG: Final = 0x4556414C
"""Second word of every seed; training has 0, 1 or 2 there."""

_KINDS: Final = ("movement", "mocap", "close", "absent", "mean_pose", "still")
_MEAN_POSE_PEOPLE: Final = 8
_MOVING_S: Final = 0.6
"""Time after which people come to rest in performances of stillness."""

_YAW_SPREAD: Final = 0.35
"""Standard deviation (radians) with which captured people face the cameras."""


@dataclass(frozen=True)
class Performance:
    """One recording of the test set, seen by two cameras.

    Attributes:
        kind: ``movement`` (of DHP19), ``mocap`` (a part of a captured motion), ``close`` (a
            movement before cameras so close that joints are out of view), ``absent`` (nobody is
            there), or ``still`` (somebody who comes to rest before the poses that count).
        name: of the movement; for a captured motion a number.
        person: number of the person.
    """

    kind: str
    name: str
    person: int


@dataclass(frozen=True)
class TestPlan:
    """Contents of the test set.

    Attributes:
        seed: it is a function of it.
        people: performances of each movement.
        windows: windows of :data:`WINDOW_NS` that count in each performance; a multiple of 3.
        captured: performances from motion capture.
        close, absent: performances before close cameras, and recordings of empty rooms.
        still: performances of people at rest.
        calibration: folder of DHP19's matrices; None for cameras like DHP19's.
        mocap: file of captured motions; None for none.
        subjects: whose motions of that file.
        movements: names of the movements.
    """

    __test__ = False  # it is no test, whatever its name says to pytest

    seed: int
    people: int
    windows: int
    captured: int
    close: int
    absent: int
    still: int = 0
    calibration: Path | None = None
    mocap: Path | None = None
    subjects: tuple[str, ...] = ()
    movements: tuple[str, ...] = MOVEMENT_NAMES

    def __post_init__(self) -> None:
        if self.windows < 3 or self.windows % 3:
            raise ValueError(f"the number of windows must be a multiple of 3, not {self.windows}")

    @property
    def seconds(self) -> float:
        """Length of each performance."""
        return (LEAD_NS + self.windows * WINDOW_NS) * 1e-9

    @property
    def instants(self) -> int:
        """Poses that count in each performance and camera."""
        return self.windows * WINDOW_NS // INSTANT_NS

    def performances(self) -> list[Performance]:
        """All performances, always in the same order."""
        chosen = [
            Performance("movement", name, person)
            for person in range(self.people)
            for name in self.movements
        ]
        if self.mocap is not None:
            chosen += [Performance("mocap", str(i), i) for i in range(self.captured)]
        for kind, count in (
            ("close", self.close),
            ("absent", self.absent),
            ("still", self.still),
        ):
            names = [self.movements[i * len(self.movements) // count] for i in range(count)]
            chosen += [Performance(kind, name, i) for i, name in enumerate(names)]
        return chosen

    def cameras(self) -> tuple[Camera, Camera]:
        """The two front cameras.

        Raises:
            CameraError: the calibration cannot be read.
        """
        if self.calibration is None:
            return DHP19_LIKE[:2]
        cameras = load_dhp19_cameras(self.calibration)
        return cameras[FRONT_CHANNELS[0]], cameras[FRONT_CHANNELS[1]]


@dataclass(frozen=True)
class Truth:
    """Labels at the instants that count.

    Attributes:
        points_px: [cameras, instants, 13, 2] in pixels of the model's view.
        visible: [cameras, instants, 13], inside the model's grid.
        joints_m: [instants, 13, 3], the places that the keypoints are images of.
    """

    points_px: NDArray[np.float32]
    visible: NDArray[np.bool_]
    joints_m: NDArray[np.float32]


@dataclass(frozen=True)
class BinnedPerformance:
    """A performance as the networks get it.

    Attributes:
        counts: events per tick and cell, saturated at 255: uint8 [cameras, ticks, 2, H, W].
        truth: the labels.
    """

    counts: NDArray[np.uint8]
    truth: Truth

    def steps(self, step_ns: int, empty: int = 0) -> NDArray[np.uint16]:
        """Return the counts per step of this length: [cameras, steps + empty, 2, H, W].

        Args:
            step_ns: length of a step.
            empty: so many steps without events follow the end.

        Raises:
            ValueError: it is no multiple of :data:`TICK_NS`.
        """
        ticks, rest = divmod(step_ns, TICK_NS)
        if rest or not ticks:
            raise ValueError(f"a step of {step_ns} ns is no multiple of {TICK_NS} ns")
        cameras, length = self.counts.shape[:2]
        steps, size = length // ticks, self.counts.shape[2:]
        found = np.zeros((cameras, steps + empty, *size), np.uint16)
        split = self.counts.reshape(cameras, steps, ticks, *size)
        np.sum(split, 2, dtype=np.uint16, out=found[:, :steps])
        return found


def generator(plan: TestPlan, kind: str, name: str, person: int) -> np.random.Generator:
    """Return the source of all that is random in one performance."""
    words = (plan.seed, _TAG, _KINDS.index(kind), person, *name.encode())
    return np.random.default_rng(words)


def simulate_performance(
    plan: TestPlan, performance: Performance, config: ModelConfig
) -> BinnedPerformance:
    """Simulate a performance before both cameras and bin it as a model's steps are."""
    rng = generator(plan, performance.kind, performance.name, performance.person)
    cameras: tuple[Camera, ...] = plan.cameras()
    if performance.kind == "mocap":
        motion = draw_captured(plan, rng)
    else:
        moving_s = _MOVING_S if performance.kind == "still" else plan.seconds
        motion = make_motion(performance.name, rng, moving_s)
    if performance.kind == "close":
        cameras = tuple(_close_camera(camera, rng) for camera in cameras)
    scenes = [Scene.sample(motion, camera, rng) for camera in cameras]
    recordings = [
        simulate_recording(
            replace(scene, body=scenes[0].body, present=performance.kind != "absent"), plan.seconds
        )
        for scene in scenes
    ]
    counts, points, visible = zip(*(_bin(plan, r, config) for r in recordings), strict=True)
    joints = recordings[0].truth.joints_m[_counted(plan)]
    return BinnedPerformance(np.stack(counts), Truth(np.stack(points), np.stack(visible), joints))


_SLOWEST: Final = 1.25
"""The most that :func:`vary` shortens a clip by."""


def draw_captured(plan: TestPlan, rng: np.random.Generator) -> Motion:
    """Draw a part of the captured motions, turned towards the cameras.

    Raises:
        OSError, ValueError: there is no file or it cannot be read, or no motion is long enough.
    """
    if plan.mocap is None:
        raise ValueError("the plan of the test set names no file of captured motions")
    name = draw_clip(plan.mocap, rng, plan.subjects.__contains__, _SLOWEST * plan.seconds)
    yaw = np.pi + rng.normal(0, _YAW_SPREAD)
    return vary(load_clip(plan.mocap, name), rng, plan.seconds, yaw)


def _close_camera(camera: Camera, rng: np.random.Generator) -> Camera:
    """A camera in the same direction, before which only the upper body is in the image."""
    target = np.array((*PLACE_M[:2], rng.uniform(1.4, 1.6)))
    towards = camera.centre - target
    distance = rng.uniform(1.0, 1.8)
    position = target + distance * towards / np.linalg.norm(towards)
    focal = camera.height * distance / rng.uniform(0.9, 1.3)
    return Camera.look_at(position, target, focal, camera.width, camera.height, name="close")


def _counted(plan: TestPlan) -> slice:
    """The labels that count; label i lies at the end of instant i."""
    first = LEAD_NS // INSTANT_NS
    return slice(first, first + plan.instants)


def _bin(
    plan: TestPlan, recording: Recording, config: ModelConfig
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    view, events = config.view, recording.events
    grid = view.fit(recording.width, recording.height)
    grid.check(events)
    noise = grid.noise_memory(config.noise_filter)
    ticks = round(plan.seconds * 1e9) // TICK_NS
    counts = np.zeros((ticks, 2, view.grid_height, view.grid_width), np.uint8)
    start = 0
    for tick in range(ticks):
        found = np.zeros(grid.shape, np.uint16)
        start, _ = grid.count_until(events, start, (tick + 1) * TICK_NS, found, noise)
        np.minimum(found, 255, out=counts[tick], casting="unsafe")
    truth, counted = recording.truth, _counted(plan)
    if not np.array_equal(truth.label_ns[counted] % INSTANT_NS, np.zeros(plan.instants)):
        raise ValueError("the labels do not lie at the instants at which poses are compared")
    points = grid.to_grid(truth.keypoints_px[counted])
    size = np.array((view.grid_width, view.grid_height)) - 0.5
    inside = truth.visible[counted] & ((points > -0.5) & (points < size)).all(-1)
    return counts, (points * view.cell).astype(np.float32), inside


def mean_pose(plan: TestPlan, view: ViewConfig) -> NDArray[np.float32]:
    """The mean of other performances of the movements: [cameras, 13, 2] in view pixels."""
    means = np.zeros((2, NUM_JOINTS, 2))
    for name in plan.movements:
        for person in range(_MEAN_POSE_PEOPLE):
            rng = generator(plan, "mean_pose", name, person)
            markers = markers_of(make_motion(name, rng, 2.0).joints_m)
            for mean, camera in zip(means, plan.cameras(), strict=True):
                grid = view.fit(camera.width, camera.height)
                mean += grid.to_grid(camera.project(markers).mean(0)) * view.cell
    means /= len(plan.movements) * _MEAN_POSE_PEOPLE
    return means.astype(np.float32)


def describe(plan: TestPlan) -> Mapping[str, object]:
    """The test set's size in figures, for the record."""
    kinds = [performance.kind for performance in plan.performances()]
    return {
        "seed": plan.seed,
        "cameras": [camera.name for camera in plan.cameras()],
        "performances": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "people_per_movement": plan.people,
        "seconds_per_performance": plan.seconds,
        "poses_per_performance": 2 * plan.instants,
        "captured_subjects": list(plan.subjects) if plan.mocap is not None else [],
    }
