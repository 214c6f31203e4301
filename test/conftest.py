# SPDX-License-Identifier: Apache-2.0
"""Rules for every test: its marker, a ROS domain of its own, type checks on messages."""

import itertools
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hybrid_pose_ros.interfaces.leftovers import own_segments

# Time limits per example fail on a busy machine and say nothing about the code.
settings.register_profile("hybrid_pose_ros", deadline=None)
settings.load_profile("hybrid_pose_ros")

# Tests run side by side: threads that spin for each other's cores would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# rosidl reads it when the messages are imported.
os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"

DOMAINS = range(1, 52)
"""Those that no command chooses by itself (see `hybrid_pose_ros.demo.domain`)."""

_count = itertools.count()

_PROCESS_FOLDERS = {"nodes", "graph"}
_INTEGRATION_FOLDERS = {"research", "simulation", "package"}
_INTEGRATION_FIXTURES = {"dhp19"}
"""They simulate a recording of four cameras."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test `process`, `integration` or `unit`, whichever of them comes first."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        module = item.getparent(pytest.Module)
        starts_processes = module is not None and hasattr(module.obj, "subprocess")
        is_integration = folder in _INTEGRATION_FOLDERS or _INTEGRATION_FIXTURES & set(
            getattr(item, "fixturenames", ())
        )
        if folder in _PROCESS_FOLDERS or starts_processes:
            item.add_marker(pytest.mark.process)
        else:
            item.add_marker(pytest.mark.integration if is_integration else pytest.mark.unit)


@pytest.fixture(autouse=True)
def ros_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    """Let no test hear another one, nor another machine, nor write logs into the home directory.

    Each of the n workers takes every n-th domain in turn, so that no two share one, and a process
    that a test leaves behind meets no other test for a while.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = DOMAINS[worker::workers]
    monkeypatch.setenv("ROS_DOMAIN_ID", str(own[next(_count) % len(own)]))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_LOG_DIR", str(_log_directory(tmp_path_factory)))


def _log_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.getbasetemp() / "ros-log"
    path.mkdir(exist_ok=True)
    return path


@pytest.fixture
def shared_memory() -> Callable[[subprocess.Popen[str]], list[Path]]:
    """Wait for the files of shared memory that Fast DDS makes for a process alone; return them."""
    return _shared_memory


def _shared_memory(process: subprocess.Popen[str]) -> list[Path]:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
        own = own_segments(process.pid)
        if own and all(str(segment) in mapped for segment in own):  # the lock comes first
            return own
        time.sleep(0.01)


Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Run a command in this process; it must end with 1 and one line on stderr, the result."""

    def refused(*words: object) -> str:
        from hybrid_pose_ros.cli.main import main

        capsys.readouterr()
        assert main([*map(str, words)]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        return error

    return refused


@dataclass
class TFMessage:
    """Fields of tf2_msgs/msg/TFMessage."""

    transforms: list[Any]


@pytest.fixture
def tf2_msgs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the package, which only comes with a ROS distribution."""
    package = types.ModuleType("tf2_msgs.msg")
    vars(package).update(TFMessage=TFMessage)
    monkeypatch.setitem(sys.modules, "tf2_msgs", types.ModuleType("tf2_msgs"))
    monkeypatch.setitem(sys.modules, "tf2_msgs.msg", package)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: the nodes do not mind."""
    import torch

    from hybrid_pose_ros.networks.checkpoint import save_checkpoint
    from hybrid_pose_ros.networks.config import EDGE
    from hybrid_pose_ros.networks.hybrid import HybridPoseNetwork

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "untrained.safetensors"
    save_checkpoint(path, HybridPoseNetwork(EDGE).eval(), {})
    return path


@pytest.fixture(scope="session")
def state_init(checkpoint: Path) -> Any:
    """A good initialisation for step 0."""
    from hybrid_pose_ros.networks.checkpoint import load_checkpoint
    from hybrid_pose_ros.pipeline.ann_estimator import AnnEstimator

    model = load_checkpoint(checkpoint)
    return AnnEstimator(model, model.config.view.fit(346, 260)).infer()


@pytest.fixture(scope="session")
def share() -> Path:
    """The package's share directory, where its message definitions are."""
    from hybrid_pose_ros.installation import find_prefix, share_directory

    return share_directory(find_prefix())


@pytest.fixture(scope="session")
def store(share: Path) -> Any:
    """Message types of the package and of ROS."""
    from hybrid_pose_ros.bags.bag import make_typestore

    return make_typestore(share)


SMALL_CAMERAS = ("/cam0", "/cam1")
SMALL_FIRST_STEP = 27


@pytest.fixture(scope="session")
def small_bag(tmp_path_factory: pytest.TempPathFactory, store: Any) -> Path:
    """A bag with 0.28 s of noise from two cameras, their calibration, and ground truth.

    Packets of 5 ms begin at 0.27 s of sensor time; /cam1 is silent for 70 ms. Labels lie 3 ms
    beside the ends of steps. Among the topics are some that are not to be played.
    """
    path = tmp_path_factory.mktemp("bags") / "small"
    write_small_bag(path, store)
    return path


def write_small_bag(path: Path, store: Any) -> None:
    """Write the bag of the fixture `small_bag`."""
    import numpy as np

    from hybrid_pose_ros.bags.convert import frame_id
    from hybrid_pose_ros.events.array import make_events
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
        WORLD_FRAME,
    )

    packet_ns, first_ns = 5_000_000, SMALL_FIRST_STEP * 10_000_000
    rng = np.random.default_rng(0)
    person = np.stack((np.linspace(-0.3, 0.3, 13), np.zeros(13), np.linspace(1.6, 0.3, 13)), -1)
    kinds = {
        **{f"{name}/events": EVENTS_TYPE for name in SMALL_CAMERAS},
        **{f"{name}/camera_info": CAMERA_INFO_TYPE for name in SMALL_CAMERAS},
        GROUND_TRUTH.name: POSE_3D_TYPE,
        "/rosout_of_another_time": "std_msgs/msg/Header",
    }
    with written_bag(path, store, kinds) as write:

        def label(stamp_ns: int, joints: Any, label_ns: int) -> None:
            header = header_at(stamp_ns, WORLD_FRAME)
            message = ground_truth_message(joints, label_ns, header)
            write(GROUND_TRUTH.name, 10**18 + stamp_ns, message)

        for number, name in enumerate(SMALL_CAMERAS):
            header = header_at(first_ns, frame_id(number))
            message = camera_info_message(DHP19_LIKE[number], header, DHP19_SIZE)
            write(f"{name}/camera_info", 10**18 + first_ns, message)
        sequences = [0, 0]
        for slot in range(56):
            start_ns = first_ns + slot * packet_ns
            if slot % 2 == 0:
                joints = np.add(person, (0.001 * slot, 0, 0))
                label(start_ns, joints, start_ns - 3_000_000)
            for number, name in enumerate(SMALL_CAMERAS):
                if number == 1 and 20 <= slot < 34:
                    continue
                times = np.sort(rng.integers(start_ns, start_ns + packet_ns, 300))
                x, y = rng.integers(0, 346, 300), rng.integers(0, 260, 300)
                events = make_events(times, x, y, rng.integers(0, 2, 300) > 0)
                stamp_ns = 10**18 + start_ns + packet_ns
                packet = mono_packet(events, stamp_ns, f"cam{number}", sequences[number])
                sequences[number] += 1
                write(f"{name}/events", stamp_ns, packet)
        end_ns = first_ns + 56 * packet_ns
        label(end_ns, person, end_ns + 7_000_000)


@contextmanager
def written_bag(
    path: Path, store: Any, kinds: dict[str, str]
) -> Iterator[Callable[[str, int, Any], None]]:
    """Yield what writes a message, or bytes, to a new bag: by topic, stamp in ns, and message.

    Args:
        kinds: topic -> type.
    """
    from rosbags.rosbag2 import StoragePlugin, Writer

    from hybrid_pose_ros.interfaces.messages import serialised

    with Writer(path, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP) as writer:
        links = {
            topic: writer.add_connection(topic, kind, typestore=store)
            for topic, kind in kinds.items()
        }

        def write(topic: str, stamp_ns: int, message: Any) -> None:
            data = message if isinstance(message, bytes) else serialised(message)
            writer.write(links[topic], stamp_ns, data)

        yield write


def mono_packet(events: Any, stamp_ns: int, frame_id: str, seq: int) -> bytes:
    """A serialised packet of a sensor of 346x260 pixels."""
    from hybrid_pose_ros.events.encodings import encode
    from hybrid_pose_ros.interfaces.cdr import serialised_packet

    return serialised_packet(
        encode("mono", events),
        stamp_ns=stamp_ns,
        frame_id=frame_id,
        width=346,
        height=260,
        seq=seq,
        encoding="mono",
    )


def packet_message(packet: Any, **fields: Any) -> Any:
    """An `EventPacket` that carries an encoded packet."""
    from hybrid_pose_ros.msg import EventPacket

    return EventPacket(time_base=packet.time_base, events=packet.data, **fields)
