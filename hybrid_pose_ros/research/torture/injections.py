# SPDX-License-Identifier: Apache-2.0
"""The ways in which a running graph is maltreated; each returns an action on a `RunningGraph`."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from hybrid_pose_ros.demo.recorder import Recorder
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, DHP19_SIZE
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.interfaces.messages import camera_info_message, header_at, serialised
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, EVENTS, POSE, STATE_INIT
from hybrid_pose_ros.research.torture.running_graph import (
    CAMERAS,
    POSES,
    NotSurvivedError,
    RunningGraph,
    driver_spec,
)

Injection: TypeAlias = Callable[[RunningGraph], None]

FROZEN_S: Final = 3.0
BAD_TRAFFIC_S: Final = 2.0
FLOOD_PACKETS: Final = 2000
FLOOD_INITIALISATIONS: Final = 100
MALFORMED: Final = 200
"""Messages of each topic."""

CYCLES: Final = 10
WHOLE_CYCLES: Final = 2

DISK_BYTES: Final = 2**20
"""The recorder's files may grow to this size: its disk is then full."""

YEAR_NS: Final = 365 * 86400 * 10**9


def kill(name: str) -> Injection:
    """Kill a process at once; the poses of the cameras that it does not belong to go on."""
    others = [topic for topic in POSES if not topic.startswith(f"/{name.partition('/')[0]}/")]

    def inject(graph: RunningGraph) -> None:
        graph.supervisor.kill(name)
        graph.await_poses(topics=others)

    return inject


def kill_ann(name: str) -> Injection:
    """Kill an ANN; the poses of its own camera go on, too."""

    def inject(graph: RunningGraph) -> None:
        graph.supervisor.kill(name)
        graph.await_poses(topics=POSES)

    return inject


def freeze(name: str) -> Injection:
    """Stop a process for :data:`FROZEN_S`, then let it go on."""

    def inject(graph: RunningGraph) -> None:
        with graph.frozen(name):
            time.sleep(FROZEN_S)

    return inject


def send_malformed(topic: str) -> Injection:
    """Send truncated, altered and made-up messages on a topic of the first camera."""

    def inject(graph: RunningGraph) -> None:
        rng = np.random.default_rng(1)
        whole = _sample(graph, topic)
        for number in range(MALFORMED):
            graph.publish(f"{CAMERAS[0]}/{topic}", damage(whole, number, rng))
            time.sleep(0.001)

    return inject


def damage(whole: bytes, number: int, rng: np.random.Generator) -> bytes:
    """Return a message that is cut off, altered, of another byte order, or made up."""
    kind = number % 5
    if kind == 0:
        return whole[: int(rng.integers(4, len(whole)))]
    if kind == 1:
        return whole[:4] + rng.bytes(int(rng.integers(0, 400)))
    if kind == 2:
        return b"\0\0" + whole[2:]  # big-endian, it says
    data = bytearray(whole)
    for _ in range(1 + number % 7):
        place = int(rng.integers(4, min(len(data), 400)))
        if kind == 3:
            data[place] ^= 1 << int(rng.integers(8))
        else:
            data[place : place + 4] = b"\xff" * 4  # lengths, among others
    return bytes(data[: len(whole)])


def send_strange_packets(graph: RunningGraph) -> None:
    """Send packets of another sensor, unknown encodings, and the last number of all."""
    topic = EVENTS.under(CAMERAS[0]).name
    changes: list[dict[str, object]] = [
        {"width": 1280, "height": 720},
        {"width": 0, "height": 0},
        {"width": 2**32 - 1},
        {"encoding": "jpeg"},
        {"encoding": ""},
        {"encoding": "evt3"},
        {"seq": 2**64 - 1},
        {"seq": 0},
        {"frame_id": "x" * 10_000},
    ]
    for change in changes * 5:
        graph.publish(topic, graph.traffic.packet(0, **change))
        time.sleep(0.005)


def flood_events(graph: RunningGraph) -> None:
    """Send packets as fast as it goes, all with the same events."""
    topic = EVENTS.under(CAMERAS[0]).name
    packet = graph.traffic.packet(0)
    for _ in range(FLOOD_PACKETS):
        graph.publish(topic, packet)


def flood_initialisations(graph: RunningGraph) -> None:
    """Send the last initialisation again and again."""
    topic = STATE_INIT.under(CAMERAS[0]).name
    data = _sample(graph, STATE_INIT.name)
    for _ in range(FLOOD_INITIALISATIONS):
        graph.publish(topic, data)


def flood_poses(graph: RunningGraph) -> None:
    """Send the last pose again and again."""
    data = _sample(graph, POSE.name)
    for _ in range(FLOOD_PACKETS):
        graph.publish(POSE.under(CAMERAS[0]).name, data)


def spoil_traffic(**knobs: Any) -> Injection:
    """Turn knobs of the traffic (see :class:`~.traffic.Knobs`) for a while, then back."""

    def inject(graph: RunningGraph) -> None:
        before = graph.traffic.knobs
        graph.traffic.knobs = replace(before, **knobs)
        time.sleep(BAD_TRAFFIC_S)
        graph.traffic.knobs = before

    return inject


def jump_clocks(jump_ns: int) -> Injection:
    """Move the sensor time of both cameras; it stays there."""

    def inject(graph: RunningGraph) -> None:
        graph.traffic.knobs.clock_ns = [now + jump_ns for now in graph.traffic.knobs.clock_ns]

    return inject


def jump_one_clock(jump_ns: int) -> Injection:
    """Move the sensor time of one camera for a while."""

    def inject(graph: RunningGraph) -> None:
        first, *others = graph.traffic.knobs.clock_ns
        spoil_traffic(clock_ns=[first + jump_ns, *others])(graph)

    return inject


def cycle(name: str) -> Injection:
    """Deactivate and activate a node under traffic, again and again."""

    def inject(graph: RunningGraph) -> None:
        for _ in range(CYCLES):
            graph.change_state(name, "deactivate")
            graph.change_state(name, "activate")

    return inject


def cycle_whole(name: str) -> Injection:
    """Take a node down to where nothing is configured, and up again."""

    def inject(graph: RunningGraph) -> None:
        for _ in range(WHOLE_CYCLES):
            for transition in ("deactivate", "cleanup", "configure", "activate"):
                graph.change_state(name, transition)

    return inject


def miscalibrate(graph: RunningGraph) -> None:
    """Send calibrations of no camera."""
    for matrix in (
        DHP19_LIKE[0].matrix * 1e200,
        DHP19_LIKE[0].matrix * np.nan,
        np.full((3, 4), np.inf),
        np.ones((3, 4)),
        DHP19_LIKE[1].matrix,  # in the place of the other camera
    ):
        _send_info(graph, p=matrix.ravel())
    _send_info(graph, width=0, height=0)
    _send_info(graph, distortion_model="mirror_ball", d=[0.1] * 5)
    _send_info(graph, d=[1e300] * 5)
    _send_info(graph, k=np.full(9, np.nan), d=[0.1] * 5)


def _send_info(graph: RunningGraph, **fields: object) -> None:
    header = header_at(time.time_ns(), "cam0")
    message = camera_info_message(DHP19_LIKE[0], header)
    for name, value in fields.items():
        setattr(message, name, value)
    graph.publish(CAMERA_INFO.under(CAMERAS[0]).name, serialised(message))
    time.sleep(0.05)


def play_file(write: Callable[[RunningGraph, Path], Path]) -> Injection:
    """Give a driver a file: it plays what can be played and ends, or says what is wrong."""

    def inject(graph: RunningGraph) -> None:
        path = write(graph, graph.folder)
        spec = driver_spec(graph.share, path)
        with Supervisor([spec], graph.prefix, log_dir=graph.folder / "logs") as supervisor:
            code = _await_end(graph, lambda: supervisor.poll().get(spec.name), "event_driver")
        text = supervisor.log(spec.name).read_text("utf-8", "replace")
        if code not in (0, 1) or "Traceback" in text:
            raise NotSurvivedError(f"event_driver ended with code {code} and not with a sentence")

    return inject


def cut_off_aedat4(graph: RunningGraph, folder: Path) -> Path:
    """Write an AEDAT4 file without its second half."""
    path = _write_whole(graph, folder / "cut_off.aedat4")
    os.truncate(path, path.stat().st_size // 2)
    return path


def altered_aedat4(graph: RunningGraph, folder: Path) -> Path:
    """Write an AEDAT4 file with some bytes altered."""
    path = _write_whole(graph, folder / "altered.aedat4")
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(2).integers(1000, len(data), 20).tolist():
        data[place] ^= 0x10
    path.write_bytes(data)
    return path


def noise_raw(graph: RunningGraph, folder: Path) -> Path:
    """Write a RAW file whose words are random."""
    path = folder / "noise.raw"
    header = b"% evt 3.0\n% geometry 1280x720\n% end\n"
    path.write_bytes(header + np.random.default_rng(3).bytes(2**20))
    return path


def pipe(graph: RunningGraph, folder: Path) -> Path:
    """Make a pipe that nobody writes to."""
    path = folder / "pipe.raw"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def fill_disk(graph: RunningGraph) -> None:
    """Let a recorder come to the end of its disk: it says so and ends, and poses go on."""
    bag = graph.folder / f"bag_{time.time_ns()}"
    with _recorder(graph, bag) as recorder:
        _await_end(graph, lambda: recorder.end, "the recorder")
    assert recorder.end is not None
    if not recorder.end.failure or str(bag) not in recorder.end.failure:
        raise NotSurvivedError(f"the recorder ended without a word ({recorder.end.failure})")


@contextmanager
def _recorder(graph: RunningGraph, bag: Path) -> Iterator[Recorder]:
    with Recorder(CAMERAS[0], bag, graph.share, ()) as recorder:
        # The kernel refuses to let a file grow further, as a full disk does.
        limit = (DISK_BYTES, DISK_BYTES)
        resource.prlimit(recorder.process.pid, resource.RLIMIT_FSIZE, limit)
        yield recorder


def _await_end(graph: RunningGraph, ended: Callable[[], object], name: str) -> object:
    """Wait until a program that has to start first has ended; return how it did."""
    timeout_s = 2.0 * graph.limit_s
    deadline = time.monotonic() + timeout_s
    while (end := ended()) is None:
        if time.monotonic() > deadline:
            raise NotSurvivedError(f"{name} did not end within {timeout_s:g} s")
        time.sleep(0.05)
    return end


def _write_whole(graph: RunningGraph, path: Path) -> Path:
    write_aedat4(path, [graph.scenes[0]], *DHP19_SIZE)
    return path


def _sample(graph: RunningGraph, topic: str) -> bytes:
    """Return a good message of a topic of the first camera."""
    if topic == EVENTS.name:
        return graph.traffic.packet(0)
    if topic == CAMERA_INFO.name:
        return graph.traffic.camera_info(0)
    return graph.last[f"{CAMERAS[0]}/{topic}"]
