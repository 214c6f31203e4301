# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run, drawn afterwards from its bag: a still and a short animation."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as PillowImage
from rosbags.typesys.store import Typestore

from hybrid_pose_ros.bags.bag import read_bag
from hybrid_pose_ros.drawing import (
    BACKGROUND,
    ESTIMATE_STYLE,
    TRUTH_STYLE,
    EventCanvas,
    Image,
    draw_caption,
    draw_skeleton,
    scale_for,
)
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.interfaces.messages import pose_from_message, stamp_to_ns
from hybrid_pose_ros.metrics.pose_errors import mpjpe
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.simulation.recording import Truth

FRAME_MS: Final = 50
ANIMATION_MS: Final = 4000
MAX_ANIMATION_BYTES: Final = 5_000_000
COLOURS: Final = 64

SKELETON_COLOURS: Final = (
    ESTIMATE_STYLE.right,
    ESTIMATE_STYLE.left,
    ESTIMATE_STYLE.middle,
    TRUTH_STYLE.middle,
)
"""Few pixels have them, and not in every frame, but they must not be lost."""


def draw_run(
    bag: Path, store: Typestore, namespace: str, truth: Truth | None, folder: Path
) -> list[Path]:
    """Draw the busiest seconds of a run; return the files written, none if there were no events.

    The pictures show at each moment what had arrived by then.

    Args:
        folder: gets ``overlay.png``, the animation's most typical picture, and ``demo.gif``.
    """
    topics = (f"{namespace}/events", f"{namespace}/pose")
    packets = [
        (stamp_to_ns(message.header.stamp), len(message.events))
        for _, _, message in read_bag(bag, store, topics[:1])
    ]
    if not packets:
        return []
    start_ns = busiest([stamp for stamp, _ in packets], [size for _, size in packets])
    frames = list(_frames(bag, store, topics, start_ns, truth))
    images = [frame.image for frame in frames]
    still, animation = folder / "overlay.png", folder / "demo.gif"
    PillowImage.fromarray(images[typical(frames)]).save(still, optimize=True)
    animation.write_bytes(encode_animation(images))
    return [still, animation]


@dataclass(frozen=True)
class Frame:
    """A picture, and how good the pose in it is.

    Attributes:
        error_px: mean error of the pose; None without a pose or labels.
        is_initialised: whether it holds a pose that an initialisation has reached.
    """

    image: Image
    error_px: float | None
    is_initialised: bool

    @property
    def fullness(self) -> int:
        """Pixels that are not background."""
        return int((self.image != BACKGROUND).any(-1).sum())


def typical(frames: Sequence[Frame]) -> int:
    """Return the number of the frame that stands for all: neither the best nor the worst.

    Its error is nearest to the median of those that are initialised; without labels it is as full
    as most of them.
    """
    known = [n for n, frame in enumerate(frames) if frame.is_initialised] or range(len(frames))
    errors = {n: frames[n].error_px for n in known}
    figures = {n: float(error) for n, error in errors.items() if error is not None}
    if not figures:
        figures = {n: float(frames[n].fullness) for n in known}
    middle = float(np.median(list(figures.values())))
    return min(figures, key=lambda n: abs(figures[n] - middle))


def busiest(stamps_ns: Sequence[int], sizes: Sequence[int]) -> int:
    """Return where the animation's length of host time holds the largest sum of ``sizes``."""
    stamps = np.asarray(stamps_ns, np.int64)
    total = np.concatenate(([0], np.cumsum(sizes)))
    ends = np.searchsorted(stamps, stamps + ANIMATION_MS * 1_000_000)
    return int(stamps[np.argmax(total[ends] - total[:-1])])


def encode_animation(frames: Sequence[Image], max_bytes: int = MAX_ANIMATION_BYTES) -> bytes:
    """Return frames as a GIF that loops; frames at the end go until it fits ``max_bytes``."""
    pictures = [PillowImage.fromarray(frame) for frame in frames]
    others = COLOURS - len(SKELETON_COLOURS)
    palette = pictures[len(pictures) // 2].quantize(others)
    chosen = (palette.getpalette() or [])[: 3 * others]
    palette.putpalette(chosen + [channel for colour in SKELETON_COLOURS for channel in colour])
    indexed = [
        picture.quantize(palette=palette, dither=PillowImage.Dither.NONE) for picture in pictures
    ]
    while True:
        buffer = io.BytesIO()
        indexed[0].save(
            buffer,
            "GIF",
            save_all=True,
            append_images=indexed[1:],
            duration=FRAME_MS,
            loop=0,
            optimize=False,
        )
        if buffer.tell() <= max_bytes or len(indexed) == 1:
            return buffer.getvalue()
        indexed = indexed[: max(1, int(len(indexed) * 0.95 * max_bytes / buffer.tell()))]


def _frames(
    bag: Path, store: Typestore, topics: tuple[str, ...], start_ns: int, truth: Truth | None
) -> Iterator[Frame]:
    """Yield a picture for every FRAME_MS of host time from ``start_ns`` on."""
    reader = PacketReader()
    canvas: EventCanvas | None = None
    pose: Pose | None = None
    due_ns, end_ns = start_ns + FRAME_MS * 1_000_000, start_ns + ANIMATION_MS * 1_000_000
    for topic, _, message in read_bag(bag, store, topics):
        if topic == topics[1]:
            pose = pose_from_message(message)
            continue
        if canvas is None:
            scale = scale_for(message.width, message.height)
            canvas = EventCanvas(message.width, message.height, scale=scale)
        stamp_ns = stamp_to_ns(message.header.stamp)
        while due_ns <= min(stamp_ns, end_ns):
            yield _draw(canvas, pose, truth)
            due_ns += FRAME_MS * 1_000_000
        if due_ns > end_ns:
            return
        _add_packet(canvas, reader, message)
    if canvas is not None:
        yield _draw(canvas, pose, truth)


def _add_packet(canvas: EventCanvas, reader: PacketReader, message: Any) -> None:
    try:
        canvas.add(reader.read(message))
    except MalformedPacketError:
        return  # The nodes dropped and counted it as well.


def _draw(canvas: EventCanvas, pose: Pose | None, truth: Truth | None) -> Frame:
    image = canvas.render()
    if pose is None:
        draw_caption(image, "no pose yet")
        return Frame(image, None, False)
    words, error = [f"{pose.sensor_time_ns * 1e-9:6.2f} s"], None
    is_initialised = pose.init_age_ns >= 0
    if is_initialised:
        words.append(f"state {pose.init_age_ns * 1e-6:3.0f} ms old")
    else:
        words.append("not initialised")
    if truth is not None:
        points, known = truth.at(np.array([pose.sensor_time_ns]))
        if known.any():
            draw_skeleton(
                image,
                points[0],
                np.ones(len(points[0])),
                scale=canvas.scale,
                style=TRUTH_STYLE,
            )
            error = mpjpe(pose.keypoints, points[0], known[0])
            words.append(f"error {error:4.1f} px to the pale truth")
    draw_skeleton(image, pose.keypoints, pose.confidence, scale=canvas.scale)
    draw_caption(image, "   ".join(words))
    return Frame(image, error, is_initialised)
