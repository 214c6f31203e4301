# SPDX-License-Identifier: Apache-2.0
"""How real simulated events look, judged by a network that was trained on real ones.

DHP19's published CNN, or another network of its layout, is run on simulated recordings of the 33
movements, prepared much as its authors prepared theirs. The nearer its error is to that on the
real recordings, the more the simulated events look like them to a network.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_pose_ros.events.dhp19.cleaning import HOT_EVENTS, MASKS, SUPPORT_US
from hybrid_pose_ros.events.filters import FilterChain, FilterConfig
from hybrid_pose_ros.geometry.cameras import Camera
from hybrid_pose_ros.metrics.pose_errors import joint_errors
from hybrid_pose_ros.networks.heatmaps import highest_cells
from hybrid_pose_ros.research.evaluation.dhp19_cnn import Dhp19Cnn, count_image
from hybrid_pose_ros.research.evaluation.published import FRONT_CHANNELS
from hybrid_pose_ros.research.training.rendering import RenderPlan
from hybrid_pose_ros.simulation.bodies import BODIES, make_body
from hybrid_pose_ros.simulation.movements import make_motion
from hybrid_pose_ros.simulation.recording import LABEL_US, Recording, Scene, simulate_recording
from hybrid_pose_ros.simulation.rooms import sample_background

FRAME_EVENTS: Final = 30_000
"""Events of all four cameras in one frame."""

MIXTURES: Final = (*BODIES, "mixture")
"""Bodies of the people: of one kind, or mixed as in the training data."""

MESH_SHARE: Final = RenderPlan.mesh_share
"""Share of mesh people in the mixture."""

FITTED_SEED: Final = 0
"""Seed of the scenes on which the markers of capsules and the sensor were fitted."""

FIRST_MESH_SEED: Final = 100
"""First of the seeds on which the markers of mesh people are fitted."""

LOST_PX: Final = 20.0
"""A joint that is seen farther away is taken for another one."""

_RECORDING_S: Final = 20.0
"""Length of the data set's recordings, about."""

CLEANING: Final = FilterConfig(
    background_activity_us=SUPPORT_US,
    hot_pixel_hz=HOT_EVENTS / _RECORDING_S,
    hot_pixel_learn_s=0.5,
)
"""As the data set's authors clean. They find hot pixels by a count over a whole recording; these
are short, so it is a rate here. A lower one takes a jogger's legs for hot pixels."""

WARM_UP_S: Final = CLEANING.hot_pixel_learn_s
"""Time at the start of a recording that is simulated but not judged."""


@dataclass(frozen=True)
class Frame:
    """One input of the CNN and its label.

    Attributes:
        image: [260, 344], 0 to 255.
        keypoints_px: [13, 2], the mean over the frame's time.
        visible: [13], inside the image all the time.
    """

    image: NDArray[np.float32]
    keypoints_px: NDArray[np.float32]
    visible: NDArray[np.bool_]


@dataclass(frozen=True)
class Take:
    """One simulated performance of a movement; all in it is a function of these.

    Attributes:
        movement: its name.
        body: ``capsules`` or ``mesh``.
        seed: of the scene; capsules and mesh of one seed move alike, in one room.
    """

    movement: str
    body: str
    seed: int


def take_of(movement: str, bodies: str, seed: int) -> Take:
    """Choose the performance that stands for one of :data:`MIXTURES`.

    In the mixture of the training data a person's body is a mesh with the probability
    :data:`MESH_SHARE`; it is the one, or the capsules, that the person has elsewhere.
    """
    if bodies == "mixture":
        coin = np.random.default_rng((seed, *movement.encode(), 1)).random()
        bodies = "mesh" if coin < MESH_SHARE else "capsules"
    return Take(movement, bodies, seed)


def simulate_cameras(
    take: Take, cameras: Mapping[int, Camera], seconds: float
) -> dict[int, Recording]:
    """Simulate one performance, seen by cameras of one make with sensors of their own.

    The first half second, in which filters learn, is cut off; sensor time goes on from there.
    """
    rng = np.random.default_rng((take.seed, *take.movement.encode()))
    motion = make_motion(take.movement, rng, seconds + WARM_UP_S)
    first = Scene.sample(motion, next(iter(cameras.values())), rng)
    if take.body != "capsules":
        own = np.random.default_rng((take.seed, *take.movement.encode(), 2))
        first = replace(first, body=make_body(take.body, own))
    recordings = {}
    for channel, camera in cameras.items():
        scene = replace(
            first,
            camera=camera,
            background=sample_background(rng, camera.width, camera.height, first.lighting.glare),
            seed=int(rng.integers(2**31)),
        )
        recordings[channel] = clean(simulate_recording(scene, seconds + WARM_UP_S), channel)
    return recordings


def clean(recording: Recording, channel: int) -> Recording:
    """Clean the events of a channel as the data set's authors do, and cut off the warm-up."""
    chain = FilterChain(CLEANING, recording.width, recording.height)
    events, batch_ns = recording.events, 100_000_000
    cuts = np.searchsorted(
        events["t"], np.arange(batch_ns, int(events["t"][-1]) + batch_ns, batch_ns)
    )
    events = np.concatenate([chain.apply(batch) for batch in np.split(events, cuts)])
    keep = events["t"] >= WARM_UP_S * 1e9
    for camera, left, right, top, bottom in MASKS:
        if camera == channel:
            columns = (events["x"] >= left) & (events["x"] < right)
            keep &= ~(columns & (events["y"] >= top) & (events["y"] < bottom))
    return replace(recording, events=events[keep])


def cut_frames(recordings: Mapping[int, Recording]) -> Iterator[dict[int, Frame]]:
    """Cut recordings of one scene into frames of :data:`FRAME_EVENTS`; what is left is dropped.

    Yields:
        channel -> frame. Frames that hold no label, being shorter than 10 ms, are left out.
    """
    times = np.sort(np.concatenate([recording.events["t"] for recording in recordings.values()]))
    for end in range(FRAME_EVENTS, len(times), FRAME_EVENTS):
        start_ns, end_ns = times[end - FRAME_EVENTS], times[end]
        frames = {}
        for channel in FRONT_CHANNELS:
            recording, truth = recordings[channel], recordings[channel].truth
            first, last = np.searchsorted(recording.events["t"], (start_ns, end_ns))
            inside = (truth.label_ns >= start_ns) & (truth.label_ns <= end_ns)
            if inside.any():
                frames[channel] = Frame(
                    count_image(recording.events[first:last]),
                    truth.keypoints_px[inside].mean(0),
                    truth.visible[inside].all(0),
                )
        if frames:
            yield frames


def locate(cnn: Dhp19Cnn, images: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the highest pixel (x, y) of each heatmap: [N, 13, 2] for images [N, 260, 344]."""
    with torch.inference_mode():
        heatmaps = cnn(torch.from_numpy(images)[:, None])
        _, row, column = highest_cells(heatmaps)
    return torch.stack((column, row), -1).numpy()


Errors = dict[int, NDArray[np.float64]]
"""Channel -> distance of each visible joint from where the network sees it, in px."""


def gauge(
    cnn: Dhp19Cnn,
    cameras: Mapping[int, Camera],
    takes: Iterable[Take],
    *,
    seconds: float,
    workers: int = 1,
    done: Callable[[Take], None] = lambda take: None,
) -> dict[Take, Errors]:
    """Return the network's errors in each performance.

    Args:
        cameras: channel -> camera, of all that share a frame's events.
        seconds: length of each performance.
        workers: number of processes; the errors do not depend on it.
        done: called after each performance.

    Raises:
        ValueError: a movement made too few events for a frame.
    """
    judge = partial(_judge, cnn, cameras, seconds)
    wanted = list(takes)
    if workers == 1:
        return _gather(wanted, map(judge, wanted), done)
    # torch does not survive a fork with its threads running
    with ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        return _gather(wanted, pool.map(judge, wanted), done)


def _gather(
    takes: list[Take], results: Iterable[Errors], done: Callable[[Take], None]
) -> dict[Take, Errors]:
    errors = {}
    for take, result in zip(takes, results, strict=True):
        errors[take] = result
        done(take)
    return errors


def _judge(cnn: Dhp19Cnn, cameras: Mapping[int, Camera], seconds: float, take: Take) -> Errors:
    """Errors of one performance, by channel."""
    frames = list(cut_frames(simulate_cameras(take, cameras, seconds)))
    errors = {}
    for channel in FRONT_CHANNELS:
        seen = [frame[channel] for frame in frames if channel in frame]
        if not seen:
            raise ValueError(
                f"{take.movement}: no frame of {FRAME_EVENTS} events and at least "
                f"{LABEL_US // 1000} ms in {seconds:g} s; simulate for longer"
            )
        # one by one: each needs 60 MB inside the network
        found = np.concatenate([locate(cnn, frame.image[None]) for frame in seen])
        truth = np.stack([frame.keypoints_px for frame in seen])
        visible = np.stack([frame.visible for frame in seen])
        errors[channel] = joint_errors(found, truth)[visible]
    return errors


def summarise_bodies(
    errors: Mapping[Take, Errors], bodies: str, movements: Iterable[str], seeds: Iterable[int]
) -> dict[str, Any]:
    """Compute the figures of one of :data:`MIXTURES`, each by channel (``ch2``, ``ch3``).

    Returns:
        ``mpjpe_px`` and ``median_px`` over all joints of all seeds; ``beyond_20px``, the share of
        joints that are lost; ``mpjpe_px_per_seed`` and its standard deviation
        ``mpjpe_px_spread`` (None of one seed); ``mpjpe_px_per_movement``.
    """
    movements, seeds = list(movements), list(seeds)

    def by_channel(
        statistic: Callable[[NDArray[np.float64]], float], names: list[str], of: list[int]
    ) -> dict[str, float]:
        chosen = [errors[take_of(name, bodies, seed)] for name in names for seed in of]
        return {
            f"ch{channel}": round(
                float(statistic(np.concatenate([own[channel] for own in chosen]))), 3
            )
            for channel in FRONT_CHANNELS
        }

    per_seed = {str(seed): by_channel(np.mean, movements, [seed]) for seed in seeds}
    spread = {
        f"ch{channel}": round(
            float(np.std([m[f"ch{channel}"] for m in per_seed.values()], ddof=1)), 3
        )
        if len(seeds) > 1
        else None
        for channel in FRONT_CHANNELS
    }
    return {
        "mpjpe_px": by_channel(np.mean, movements, seeds),
        "median_px": by_channel(np.median, movements, seeds),
        "beyond_20px": by_channel(lambda own: (own > LOST_PX).mean(), movements, seeds),
        "mpjpe_px_per_seed": per_seed,
        "mpjpe_px_spread": spread,
        "mpjpe_px_per_movement": {name: by_channel(np.mean, [name], seeds) for name in movements},
    }
