# SPDX-License-Identifier: Apache-2.0
"""Fuzzed inputs of every decoder and reader: good results, or the one error that callers know.

By hand, for a million inputs: ``python test/faults/test_fuzzed_inputs.py 1000000 [SEED
[TARGET ...]]``.
"""

import collections
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from hybrid_pose_ros.bags.bag import BagError, read_raw
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.dvs import packet_of_event_array
from hybrid_pose_ros.bags.salvage import Damage, salvage, storage_files
from hybrid_pose_ros.events.aedat2 import (
    Aedat2Error,
    Columns,
    pack,
    pack_specials,
    write_header,
)
from hybrid_pose_ros.events.array import check_events, make_events
from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording, load_derived_labels
from hybrid_pose_ros.events.dhp19.labels import (
    FIELDS,
    LABEL_NS,
    LabelError,
    load_labels,
    save_labels,
)
from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording, RecordingError
from hybrid_pose_ros.events.encodings import (
    ENCODINGS,
    MalformedPacketError,
    encode,
    make_decoder,
)
from hybrid_pose_ros.events.labelled import LabelledFileError
from hybrid_pose_ros.events.sources import SourceError, open_source
from hybrid_pose_ros.events.stream import PacketReader
from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import CameraError, load_dhp19_cameras
from hybrid_pose_ros.geometry.ranges import MAX_METRES
from hybrid_pose_ros.interfaces.cdr import read_packet, serialised_packet
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.simulation.recording import load_truth

WIDTH, HEIGHT = 346, 260
MAX_S = 2.0
"""No input may take longer, three times in a row: once may be the machine's doing."""

Rng = np.random.Generator

_INDEX = np.arange(120)
EVENTS = make_events(
    10**9 + _INDEX * 7000, _INDEX * 2, _INDEX % 7 * 30 + _INDEX // 100, _INDEX % 3 == 0
)


def check_sentence(error: Exception, name: str) -> None:
    assert name in str(error) and "\n" not in str(error)


def damage(content: bytes, rng: Rng) -> bytes:
    """Flip, overwrite, cut, repeat or insert something; now and then make all of it up."""
    data = bytearray(content)
    kind = int(rng.integers(8))
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 400)))
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(data) + 1))
        size = int(rng.integers(1, 17))
        if kind <= 3 and place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 4:
            data[place : place + size] = rng.bytes(size)
        elif kind == 5:
            data[place:place] = rng.bytes(size)
        elif kind == 6:
            del data[place : place + size]
        else:
            data[place:place] = data[max(0, place - size) : place]
    return bytes(data)


def fuzz_encoding(encoding: str) -> Callable[[Rng, Path], str]:
    """Return a target: packets of one decoder, the last of which is good."""
    packet = encode(encoding, EVENTS)

    def run(rng: Rng, folder: Path) -> str:
        decoder = make_decoder(encoding, WIDTH, HEIGHT)
        time_base = int(rng.integers(0, 2**62)) if rng.random() < 0.1 else packet.time_base
        try:
            found = decoder.decode(time_base, damage(packet.data, rng))
        except MalformedPacketError:
            outcome = "refused"
        else:
            check_events(found, WIDTH, HEIGHT)
            outcome = "decoded"
        again = decoder.decode(packet.time_base, packet.data)
        check_events(again, WIDTH, HEIGHT)
        assert len(again) == len(EVENTS), "a good packet after a bad one"
        return outcome

    return run


def evt2() -> bytes:
    us = EVENTS["t"] // 1000
    high = (8 << 28 | us >> 6).astype("<u4")
    low = us % 64 << 22 | EVENTS["x"].astype(int) << 11 | EVENTS["y"] | EVENTS["polarity"] << 28
    return np.stack((high, low.astype("<u4")), axis=1).tobytes()


def aedat2(folder: Path) -> bytes:
    path = folder / "whole.aedat"
    x, y = WIDTH - 1 - EVENTS["x"], HEIGHT - 1 - EVENTS["y"]
    columns = Columns(EVENTS["t"] // 1000, np.zeros(len(x), int), x, y, EVENTS["polarity"])
    with path.open("wb") as file:
        write_header(file, "a.Davis346B", "today")
        file.write(pack(columns).tobytes() + pack_specials(np.array([10**9])).tobytes())
    return path.read_bytes()


def dat() -> bytes:
    pixel = EVENTS["x"].astype("<u4") | EVENTS["y"].astype("<u4") << 14
    words: NDArray[np.uint32] = np.stack(((EVENTS["t"] // 1000).astype("<u4"), pixel), axis=1)
    return bytes((12, 8)) + words.tobytes()


def fuzz_file(name: str, content: bytes) -> Callable[[Rng, Path], str]:
    """Return a target: a damaged recording, read to its end."""

    def run(rng: Rng, folder: Path) -> str:
        path = folder / name
        path.write_bytes(damage(content, rng))
        try:
            source = open_source(path)
            while (events := source.read()) is not None:
                check_events(events, source.width, source.height)
        except SourceError as error:
            check_sentence(error, str(path))
            return "refused"
        return "lost some" if source.trouble else "read"

    return run


CALIBRATION = b"""
cameras:
  cam0:
    width: 346
    height: 260
    projection: [[345.0, 0.0, 172.5, 0.0], [0.0, 345.0, 129.5, 0.0], [0.0, 0.0, 1.0, 3.0]]
    distortion_model: plumb_bob
    distortion: [-0.2, 0.05, 0.0, 0.0, 0.0]
"""


def fuzz_calibration(rng: Rng, folder: Path) -> str:
    """Read a damaged YAML calibration."""
    path = folder / "calibration.yaml"
    path.write_bytes(damage(CALIBRATION, rng))
    try:
        camera = read_calibration(path, ["cam0"])["cam0"]
    except CameraError as error:
        check_sentence(error, str(path))
        return "refused"
    assert np.isfinite(camera.project(np.array([0.1, 0.2, 0.3]))).all()
    camera.undistort(np.array([[3.0, 4.0]]))
    return "read"


def fuzz_matrices(rng: Rng, folder: Path) -> str:
    """Read a damaged matrix of DHP19."""
    whole = folder / "whole.npy"
    if not whole.exists():
        matrix = np.array([[300.0, 9, 170, 5e5], [2, 300, 130, 6e5], [0.01, 0.02, 1, 3e3]])
        for name in ("whole", "P1", "P2", "P3", "P4"):
            np.save(folder / f"{name}.npy", matrix)
    (folder / "P4.npy").write_bytes(damage(whole.read_bytes(), rng))
    try:
        cameras = load_dhp19_cameras(folder)
    except CameraError as error:
        check_sentence(error, "P4.npy")
        return "refused"
    assert np.isfinite(cameras[0].matrix).all()
    return "read"


def npz(folder: Path) -> bytes:
    path = folder / "whole.npz"
    columns = {"t_us": EVENTS["t"] // 1000, "p": EVENTS["polarity"]}
    np.savez(path, x=EVENTS["x"], y=EVENTS["y"], width=WIDTH, height=HEIGHT, **columns)
    return path.read_bytes()


def packet() -> bytes:
    """A serialised packet of the events."""
    return serialised_packet(
        encode("mono", EVENTS),
        stamp_ns=10**18,
        frame_id="cam0",
        width=WIDTH,
        height=HEIGHT,
        seq=7,
        encoding="mono",
    )


def fuzz_packet(rng: Rng, folder: Path) -> str:
    """Read a damaged serialised packet, as the nodes do."""
    reader = PacketReader()
    try:
        events = reader.read(read_packet(damage(packet(), rng), EventPacket))
    except MalformedPacketError:
        return "refused"
    assert reader.sensor is not None
    check_events(events, *reader.sensor)
    return "decoded"


def event_array() -> bytes:
    """A serialised `EventArray` of dvs_msgs with the events."""
    head = b"\0\1\0\0" + struct.pack("<iII", 3, 4, 5) + b"cam0\0" + bytes(3)
    parts = [head, struct.pack("<III", HEIGHT, WIDTH, len(EVENTS))]
    for number, event in enumerate(EVENTS):
        sec, nanosec = divmod(int(event["t"]), 10**9)
        x, y = (struct.pack("<H", event[name]) for name in "xy")
        # numbers are aligned to their size: a byte lies between a polarity and
        # the next x, two between that event's y and its time
        parts.append((bytes(1) if number else b"") + x + y)
        stamp = struct.pack("<iIB", sec, nanosec, int(event["polarity"]))
        parts.append((bytes(2) if number else b"") + stamp)
    return b"".join(parts)


def fuzz_event_array(rng: Rng, folder: Path) -> str:
    """Turn a damaged `EventArray` into a packet, which is then read."""
    data = packet_of_event_array(damage(event_array(), rng), 7)
    try:
        PacketReader().read(read_packet(data, EventPacket))
    except MalformedPacketError:
        return "refused"
    return "read"


def bag_file(folder: Path, storage: StoragePlugin) -> bytes:
    """The file of a bag with some packets."""
    bag = folder / f"whole_{storage.name}"
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(bag, version=Writer.VERSION_LATEST, storage_plugin=storage) as writer:
        link = writer.add_connection("/cam0/events", "std_msgs/msg/String", typestore=store)
        for number in range(5):
            writer.write(link, 10**18 + number, packet()[:300])
    (path,) = storage_files(bag)
    return path.read_bytes()


def fuzz_bag(name: str, content: bytes) -> Callable[[Rng, Path], str]:
    """Return a target: a damaged file of a bag, read, and what is left of it."""

    def run(rng: Rng, folder: Path) -> str:
        path = folder / name
        path.write_bytes(damage(content, rng))
        lost = Damage()
        count = sum(1 for _ in salvage(path, lost))
        assert count == 5 or lost.troubles or count < 5
        try:
            found = len(list(read_raw(path, ["/cam0/events"])))
        except BagError as error:
            check_sentence(error, str(path))
            return "refused"
        return f"read {min(found, 5)}"

    return run


def fuzz_metadata(rng: Rng, folder: Path) -> str:
    """Read a bag with damaged metadata: what they say of its messages is held against them."""
    bag = folder / "whole_MCAP"
    if not bag.exists():
        bag_file(folder, StoragePlugin.MCAP)
    path = bag / "metadata.yaml"
    whole = path.read_bytes()
    path.write_bytes(damage(whole, rng))
    try:
        inspect_bag(bag)
        found = len(list(read_raw(bag, ["/cam0/events"])))
    except BagError as error:
        check_sentence(error, str(bag))
        return "refused"
    finally:
        path.write_bytes(whole)
    assert found in (0, 5)  # 0: the topic has another name
    return "read"


def derived(folder: Path) -> bytes:
    """DHP19 in HDF5, events and labels in one."""
    path = folder / "whole.h5"
    with h5py.File(path, "w") as file:
        columns = {"t": EVENTS["t"] // 1000, "p": EVENTS["polarity"] * 1}
        columns |= {name: EVENTS[name] + 1 for name in "xy"}
        for camera in range(4):
            for name, column in columns.items():
                file[f"cam{camera}_events/{name}"] = column
        file["XYZ/3d_poses"] = np.ones((5, 3, 13))
        file["XYZ/timestamps"] = np.arange(5) * 10_000
    return path.read_bytes()


def fuzz_derived(content: bytes) -> Callable[[Rng, Path], str]:
    """Return a target: damaged events of DHP19 in HDF5, read to their end."""

    def run(rng: Rng, folder: Path) -> str:
        path = folder / "a.h5"
        path.write_bytes(damage(content, rng))
        try:
            recording = DerivedRecording(path)
            latest_ns = [0] * 4
            for batch in recording.batches():
                for camera, events in enumerate(batch):
                    check_events(events, WIDTH, HEIGHT)
                    if len(events):
                        assert events["t"][0] >= latest_ns[camera]
                        latest_ns[camera] = int(events["t"][-1])
        except RecordingError as error:
            check_sentence(error, str(path))
            return "refused"
        return "lost some" if recording.trouble else "read"

    return run


def dhp19(folder: Path) -> bytes:
    """Events of four cameras as DHP19 records them."""
    path = folder / "four.aedat"
    columns = Columns(EVENTS["t"] // 1000, _INDEX % 4, EVENTS["x"], EVENTS["y"], EVENTS["x"] > 30)
    with path.open("wb") as file:
        write_header(file, "MultiCameraHardwareInterface", "today")
        file.write(pack_specials(np.array([10**6 - 10])).tobytes() + pack(columns).tobytes())
    return path.read_bytes()


def fuzz_dhp19(content: bytes) -> Callable[[Rng, Path], str]:
    """Return a target: a damaged recording of DHP19, cleaned."""

    def run(rng: Rng, folder: Path) -> str:
        path = folder / "b.aedat"
        path.write_bytes(damage(content, rng))
        try:
            recording = Dhp19Recording(path, Cleaning(), 100)
            for batch in recording.batches():
                for events in batch:
                    check_events(events, WIDTH, HEIGHT)
        except (Aedat2Error, RecordingError) as error:
            check_sentence(error, str(path))
            return "refused"
        return "lost some" if recording.trouble else "read"

    return run


def matlab(folder: Path, *, hdf5: bool) -> bytes:
    """Labels of DHP19, in the oldest or the newest format of `.mat`."""
    path = folder / "whole.mat"
    if hdf5:
        with h5py.File(path, "w") as file:
            for field in FIELDS:
                file[f"XYZPOS/{field}"] = np.ones((3, 5))
    else:
        save_labels(path, np.ones((5, 13, 3)))
    return path.read_bytes()


def truth(folder: Path) -> bytes:
    """Labels of the simulator, compressed."""
    path = folder / "whole.truth.npz"
    np.savez_compressed(
        path,
        label_ns=np.arange(5) * 10**7,
        keypoints_px=np.ones((5, 13, 2), np.float32),
        joints_m=np.ones((5, 13, 3), np.float32),
        visible=np.ones((5, 13), bool),
        camera_matrix=np.array([[345.0, 0, 172.5, 0], [0, 345, 129.5, 0], [0, 0, 1, 3]]),
        name=np.array("walking"),
    )
    return path.read_bytes()


def fuzz_labels(
    name: str, content: bytes, read: Callable[[Path], Any]
) -> Callable[[Rng, Path], str]:
    """Return a target: damaged labels, which are in order and where a person can be."""

    def run(rng: Rng, folder: Path) -> str:
        path = folder / name
        path.write_bytes(damage(content, rng))
        try:
            times_ns, joints_m = read(path)
        except (LabelError, LabelledFileError, CameraError) as error:
            check_sentence(error, str(path))
            return "refused"
        assert joints_m.shape == (len(times_ns), 13, 3) and (np.diff(times_ns) > 0).all()
        assert (np.isnan(joints_m) | (np.abs(joints_m) <= MAX_METRES)).all()
        return "read"

    return run


def read_matlab(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    joints = load_labels(path)
    return np.arange(len(joints)) * LABEL_NS, joints


def read_truth(path: Path) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    found = load_truth(path)
    return found.label_ns, found.joints_m


def make_targets(folder: Path) -> dict[str, Callable[[Rng, Path], str]]:
    """Return the targets by name."""
    raw = b"% geometry 346x260\n% end\n"
    dat_header = b"% Version 2\n% Width 346\n% Height 260\n"
    return {
        **{encoding: fuzz_encoding(encoding) for encoding in ENCODINGS},
        "EVT2": fuzz_file("evt2.raw", b"% evt 2.0\n" + raw + evt2()),
        "EVT2.1": fuzz_file("evt21.raw", b"% evt 2.1\n" + raw + evt2()),
        "EVT3": fuzz_file("evt3.raw", b"% evt 3.0\n" + raw + encode("evt3", EVENTS).data),
        "DAT": fuzz_file("a.dat", dat_header + dat()),
        "AEDAT2": fuzz_file("a.aedat", aedat2(folder)),
        "npz": fuzz_file("a.npz", npz(folder)),
        "packet": fuzz_packet,
        "dvs_msgs": fuzz_event_array,
        "mcap": fuzz_bag("a.mcap", bag_file(folder, StoragePlugin.MCAP)),
        "db3": fuzz_bag("a.db3", bag_file(folder, StoragePlugin.SQLITE3)),
        "metadata": fuzz_metadata,
        "calibration": fuzz_calibration,
        "matrices": fuzz_matrices,
        "h5": fuzz_derived(derived(folder)),
        "dhp19": fuzz_dhp19(dhp19(folder)),
        "h5 labels": fuzz_labels("l.h5", derived(folder), load_derived_labels),
        "mat 7.3": fuzz_labels("l.mat", matlab(folder, hdf5=True), read_matlab),
        "mat 5": fuzz_labels("m.mat", matlab(folder, hdf5=False), read_matlab),
        "truth": fuzz_labels("a.truth.npz", truth(folder), read_truth),
    }


def fuzz(
    target: Callable[[Rng, Path], str], count: int, seed: int, folder: Path
) -> dict[str, int]:
    """Run a target; returns how often what came of it. The seed of a failure is in its note."""
    outcomes: collections.Counter[str] = collections.Counter()
    for turn in range(count):
        for attempt in range(3):
            start = time.perf_counter()
            try:
                outcome = target(np.random.default_rng((seed, turn)), folder)
            except Exception as error:
                error.add_note(f"seed ({seed}, {turn})")
                raise
            if time.perf_counter() - start < MAX_S:
                break
            assert attempt < 2, f"seed ({seed}, {turn}) takes too long"
        outcomes[outcome] += 1
    return dict(outcomes)


NAMES = (
    *(*ENCODINGS, "EVT2", "EVT2.1", "EVT3", "DAT", "AEDAT2", "npz", "packet", "dvs_msgs"),
    *("mcap", "db3", "metadata", "calibration", "matrices"),
    *("h5", "dhp19", "h5 labels", "mat 7.3", "mat 5", "truth"),
)


@pytest.mark.parametrize("name", NAMES)
def test_fuzzed_inputs_give_good_results_or_the_error(tmp_path: Path, name: str) -> None:
    outcomes = fuzz(make_targets(tmp_path)[name], 150, 1, tmp_path)
    assert outcomes.get("refused", 0) > 0
    assert sum(outcomes.values()) > outcomes.get("refused", 0)


def main() -> None:
    """Run all targets, or those named, as many inputs as the first argument says."""
    total, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        targets = make_targets(Path(folder))
        names = sys.argv[3:] or list(targets)
        for name in names:
            start = time.perf_counter()
            outcomes = fuzz(targets[name], -(-total // len(names)), seed, Path(folder))
            print(f"{name:12} {time.perf_counter() - start:7.1f} s  {outcomes}", flush=True)


if __name__ == "__main__":
    main()
