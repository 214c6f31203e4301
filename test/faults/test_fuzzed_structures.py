# SPDX-License-Identifier: Apache-2.0
"""Well-formed files with odd content: good results, or the one error that callers know.

Where ``test_fuzzed_inputs`` damages bytes, values, types and shapes are exchanged here, so that
what is read gets past the check of the format. By hand, for a hundred thousand inputs:
``python test/faults/test_fuzzed_structures.py 100000 [SEED [TARGET ...]]``.
"""

import collections
import contextlib
import copy
import json
import resource
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import yaml
from rosbags.typesys import Stores, get_typestore

from hybrid_pose_ros.bags.bag import BagError, read_raw
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.recovery import recover_bag
from hybrid_pose_ros.bags.salvage import Damage, salvage, storage_files
from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.events.array import check_events
from hybrid_pose_ros.events.dhp19.derived import DerivedRecording, load_derived_labels
from hybrid_pose_ros.events.dhp19.labels import FIELDS, load_labels
from hybrid_pose_ros.events.labelled import load_point_labels
from hybrid_pose_ros.events.sources import SourceError, open_source
from hybrid_pose_ros.events.sources.aedat4 import _choose, _find_cameras
from hybrid_pose_ros.geometry.calibration import read_calibration
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, load_dhp19_cameras
from hybrid_pose_ros.simulation.recording import load_truth

MAX_S = 2.0
"""No input may take longer, three times in a row: once may be the machine's doing."""

MAX_GROWTH_KB = 2**20
"""Of memory, by one input."""

STORE = get_typestore(Stores.ROS2_JAZZY)

Rng = np.random.Generator
Target = Callable[[Rng, Path], str]

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 7, 2**31, -(2**31), 2**63, 2**64, -(2**63), 10**40),
    *(0.0, -0.0, 0.5, 1e-320, 1e9, 1e300, -1e300, float("nan"), float("inf"), float("-inf")),
    *("", "x", "0", "1e5", "a\nb", "\x00", "ä\u2028", "/cam0/events", "../../etc", "a" * 5000),
    *([], [1], [[]], [None] * 3, {}, {"a": 1}, {1: 2}, {"sec": -1, "nsec": 2**40}),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all members of nested lists and tables."""
    if isinstance(value, dict):
        inner: Iterable[tuple[Any, Any]] = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return [path] if path else []
    return [path] * bool(path) + [
        found for key, own in inner for found in places(own, (*path, key))
    ]


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def alter(value: Any, rng: Rng) -> Any:
    """Return a copy of nested lists and tables in which some members are odd, or missing."""
    changed = json.loads(json.dumps(value))
    for _ in range(int(rng.integers(1, 4))):
        path = pick(rng, places(changed) or [()])
        if not path:
            return copy.deepcopy(pick(rng, ODD))
        owner = changed
        for key in path[:-1]:
            owner = owner[key]
        kind = rng.integers(8)
        if kind == 0:
            del owner[path[-1]]
        elif kind == 1 and isinstance(owner, dict):
            owner[pick(rng, ODD[22:30])] = owner.pop(path[-1])
        elif kind == 2 and isinstance(owner, list):
            owner.append(copy.deepcopy(owner[path[-1]]))
        else:
            owner[path[-1]] = copy.deepcopy(pick(rng, ODD))
    return changed


def odd_array(rng: Rng, good: np.ndarray) -> Any:
    """Return an array of another type, shape or content than a good one."""
    shapes = ((), (0,), (1,), (5,), (2, 2), (5, 3), (3, 4), (5, 13), (5, 13, 3), (0, 13, 3))
    kinds = ("?", "i1", "u2", "<i4", ">i8", "u8", "f2", "<f4", ">f8", "c16", "S3", "U4", "M8[us]")
    kind = rng.integers(6)
    if kind == 0:
        return np.zeros(pick(rng, shapes), pick(rng, kinds))
    if kind == 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(ValueError, OverflowError):
                return good.astype(pick(rng, kinds[:9]))
            return good.astype("S3")
    if kind == 2:
        return good[..., : int(rng.integers(0, 3))] if good.ndim else good
    if kind == 3:
        return np.full(good.shape, pick(rng, ODD[11:23]))
    if kind == 4:
        if good.dtype.kind not in "biuf":
            return good
        changed = np.array(good, np.float64).ravel()
        if len(changed):
            changed[int(rng.integers(len(changed)))] = pick(rng, ODD[13:23])
        return changed.reshape(good.shape)
    return rng.permuted(good) if good.ndim else good


def altered_arrays(arrays: dict[str, Any], rng: Rng) -> dict[str, Any]:
    """Return arrays of which some are odd, missing or called otherwise."""
    changed = dict(arrays)
    for _ in range(int(rng.integers(1, 3))):
        name = pick(rng, list(changed) or [""])
        kind = rng.integers(8)
        if kind == 0:
            changed.pop(name, None)
        elif kind == 1 and name:
            changed[f"{name}2"] = changed.pop(name)
        elif name:
            changed[name] = odd_array(rng, np.asarray(changed[name]))
    return changed


def told(error: Exception, name: str) -> str:
    """Check that an error names the file in one line."""
    assert name in str(error) and "\n" not in str(error).replace(name, "")
    return "refused"


CALIBRATION = {
    "cameras": {
        "cam0": {
            "width": 346,
            "height": 260,
            "projection": [[345.0, 0.0, 172.5, 0.0], [0.0, 345.0, 129.5, 0.0], [0, 0, 1.0, 3.0]],
            "distortion_model": "plumb_bob",
            "distortion": [-0.2, 0.05, 0.0, 0.0, 0.0],
        },
        "cam1": {
            "width": 346,
            "height": 260,
            "camera_matrix": [[345.0, 0.0, 172.5], [0.0, 345.0, 129.5], [0.0, 0.0, 1.0]],
            "rotation": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            "translation": [-1.0, 0.0, 3.0],
            "distortion_model": "equidistant",
            "distortion": [0.1, 0.0, 0.0, 0.0],
        },
    }
}


def fuzz_calibration(rng: Rng, folder: Path) -> str:
    """Read a calibration with odd values."""
    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(alter(CALIBRATION, rng), allow_unicode=True), "utf-8")
    try:
        cameras = read_calibration(path, ["cam0", "cam1"])
    except UserError as error:
        return told(error, str(path))
    for camera in cameras.values():
        assert np.isfinite(camera.matrix).all()
        camera.undistort(np.array([[3.0, 4.0], [300.0, 200.0]]))
    return "read"


def fuzz_matrices(rng: Rng, folder: Path) -> str:
    """Read matrices of DHP19 of odd types and shapes."""
    good = DHP19_LIKE[0].to_dhp19()
    for name in ("P1", "P2", "P3", "P4"):
        odd = name == "P3" and rng.random() < 0.9
        np.save(folder / f"{name}.npy", odd_array(rng, good) if odd else good)
    try:
        cameras = load_dhp19_cameras(folder)
    except UserError as error:
        return told(error, "P3.npy")
    assert all(np.isfinite(camera.matrix).all() for camera in cameras.values())
    return "read"


def metadata_of(file: str, storage: str) -> dict[str, Any]:
    moment = {"nanoseconds_since_epoch": 10**18}
    own = {
        "path": file,
        "starting_time": moment,
        "duration": {"nanoseconds": 4},
        "message_count": 5,
    }
    topic = {
        "name": "/cam0/events",
        "type": "std_msgs/msg/String",
        "serialization_format": "cdr",
        "offered_qos_profiles": [],
        "type_description_hash": "RIHS01_" + "0" * 64,
    }
    return {
        "rosbag2_bagfile_information": {
            "version": 9,
            "storage_identifier": storage,
            "relative_file_paths": [file],
            "files": [own],
            "duration": {"nanoseconds": 4},
            "starting_time": dict(moment),
            "message_count": 5,
            "topics_with_message_count": [{"message_count": 5, "topic_metadata": topic}],
            "compression_format": "",
            "compression_mode": "",
            "ros_distro": "jazzy",
            "custom_data": None,
        }
    }


TABLES = (
    "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL)",
    "INSERT INTO schema VALUES(4, 'jazzy')",
    "CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER, metadata TEXT)",
    "INSERT INTO metadata VALUES(1, 9, '')",
    "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT,"
    " offered_qos_profiles TEXT, type_description_hash TEXT)",
    "INSERT INTO topics VALUES(1, '/cam0/events', 'std_msgs/msg/String', 'cdr', '[]', '')",
    "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER,"
    " data BLOB)",
    "CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT, encoding TEXT,"
    " encoded_message_definition TEXT, type_description_hash TEXT)",
    *(f"INSERT INTO messages VALUES({n}, 1, {10**18 + n}, x'0001000001000000')" for n in range(5)),
)
SQL_WORDS = (
    *("NULL", "-1", "9223372036854775807", "'text'", "x'00'", "1e300", "''", "x''", "0"),
    *("'std_msgs/msg/Nothing'", "'/'", "zeroblob(100000)", "'[1'", "'- history: 99'"),
)


def write_database(path: Path, rng: Rng) -> None:
    """Write tables as rosbag2 does, with odd ones, columns or values."""
    statements = list(TABLES)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(statements)))
        text = statements[place]
        kind = rng.integers(5)
        if kind == 0:
            statements[place] = "SELECT 1"
        elif kind == 1:
            statements[place] = text.replace("INTEGER", "BLOB").replace("TEXT", "REAL")
        elif kind == 2:
            statements[place] = text.replace("topic", "tpic", 1).replace("data", "dta", 1)
        elif "VALUES(" in text:
            head, _, values = text.partition("VALUES(")
            fields = values.rstrip(")").split(", ")
            fields[int(rng.integers(len(fields)))] = pick(rng, SQL_WORDS)
            statements[place] = f"{head}VALUES({', '.join(fields)})"
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA journal_mode=MEMORY")
        for statement in statements:
            with contextlib.suppress(sqlite3.Error):
                database.execute(statement)
        database.commit()


def read_everything(path: Path, file: Path, rng: Rng) -> str:
    """Read a bag, or a file of one, by all readers; now and then make a whole one of it."""
    lost = Damage()
    whole = sum(1 for _ in salvage(file, lost))
    assert all("\n" not in trouble for trouble in lost.troubles)
    if rng.random() < 0.1:
        out = path.parent / "recovered"
        shutil.rmtree(out, ignore_errors=True)
        try:
            recovered = recover_bag(path, out, STORE)
        except BagError as error:
            told(error, str(path))
        else:
            assert sum(recovered.messages.values()) <= whole
            list(read_raw(out, ["/cam0/events"]))
    try:
        inspect_bag(path)
        found = list(read_raw(path, ["/cam0/events"]))
    except BagError as error:
        return told(error, str(path))
    assert all(isinstance(message.data, bytes) for message in found)
    return f"read {min(len(found), whole, 6)}"


def fuzz_database(rng: Rng, folder: Path) -> str:
    """Read a bag whose database has odd tables, alone or with metadata."""
    bag = folder / "db3"
    bag.mkdir(exist_ok=True)
    write_database(bag / "a.db3", rng)
    metadata = metadata_of("a.db3", "sqlite3")
    if rng.random() < 0.3:
        metadata = alter(metadata, rng)
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata), "utf-8")
    return read_everything(bag if rng.random() < 0.7 else bag / "a.db3", bag / "a.db3", rng)


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def mcap_record(rng: Rng) -> bytes:
    """Return a record of MCAP, odd in one of many ways."""
    names = (b"/cam0/events", b"", b"std_msgs/msg/String", b"\xff", b"cdr", b"ros2msg", b"x" * 999)
    number = int(rng.integers(0, 3))
    kind = int(rng.integers(1, 17))
    content = rng.bytes(int(rng.integers(0, 40)))
    if kind == 1:
        content = text(pick(rng, (b"ros2", b""))) + text(b"us")
    elif kind == 3:
        content = struct.pack("<H", number) + text(names[2]) + text(pick(rng, names)) + text(b"")
    elif kind == 4:
        content = struct.pack("<HH", number, int(rng.integers(0, 3)))
        content += text(pick(rng, names)) + text(pick(rng, names)) + text(b"")
    elif kind == 5:
        stamp = pick(rng, (0, 10**18, 2**64 - 1))
        content = struct.pack("<HIQQ", number, 1, stamp, stamp) + rng.bytes(9)
    elif kind == 6:
        inner = b"".join(mcap_record(rng) for _ in range(int(rng.integers(0, 3))))
        size = pick(rng, (len(inner), 0, 2**40, 2**64 - 1))
        packing = pick(rng, (b"", b"zstd", b"lz4", b"none", b"\xff"))
        content = struct.pack("<QQQI", 0, 2**63, size, int(rng.integers(0, 2)))
        content += text(packing) + struct.pack("<Q", len(inner)) + inner
    elif kind == 2:
        content = struct.pack("<QQI", pick(rng, (0, 8, 60, 2**63)), 0, 0)
    elif kind == 8:
        content = struct.pack("<QQQQ", 0, 2**63, pick(rng, (8, 2**60)), pick(rng, (30, 2**60)))
        content += struct.pack("<IQ", 0, 0) + text(b"zstd") + struct.pack("<QQ", 2**50, 2**50)
    elif kind == 11:
        content = struct.pack("<QHIIIIQQI", *(pick(rng, (0, 1, 7)) for _ in range(9)))
    length = len(content) if rng.random() < 0.9 else pick(rng, (0, 1, 2**40, 2**64 - 1))
    return struct.pack("<BQ", kind, length) + content


def fuzz_mcap(rng: Rng, folder: Path) -> str:
    """Read a file of records of MCAP that do not fit together."""
    bag = folder / "mcap"
    bag.mkdir(exist_ok=True)
    path = bag / "a.mcap"
    magic = b"\x89MCAP0\r\n"
    header = struct.pack("<BQ", 1, 12) + text(b"ros2") + text(b"")
    records = [
        struct.pack("<BQ", 3, 33) + struct.pack("<H", 1) + text(b"std_msgs/msg/String")[:23]
        + text(b"") + text(b""),
        struct.pack("<BQ", 4, 31) + struct.pack("<HH", 0, 1) + text(b"/cam0/events")
        + text(b"cdr") + text(b""),
        struct.pack("<BQ", 5, 30) + struct.pack("<HIQQ", 0, 1, 10**18, 10**18) + bytes(8),
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 6))):
        records.insert(int(rng.integers(len(records) + 1)), mcap_record(rng))
    footer = struct.pack("<BQQQI", 2, 20, pick(rng, (0, 8, 2**62)), 0, 0)
    end = footer + magic if rng.random() < 0.8 else b""
    path.write_bytes(magic + header + b"".join(records) + end)
    metadata = metadata_of("a.mcap", "mcap")
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata), "utf-8")
    return read_everything(bag if rng.random() < 0.5 else path, path, rng)


def fuzz_metadata(rng: Rng, folder: Path) -> str:
    """Read a good database with odd metadata."""
    bag = folder / "metadata"
    if not bag.exists():
        bag.mkdir()
        with contextlib.closing(sqlite3.connect(bag / "a.db3")) as database:
            for statement in TABLES:
                database.execute(statement)
            database.commit()
    metadata = alter(metadata_of("a.db3", "sqlite3"), rng)
    (bag / "metadata.yaml").write_text(yaml.safe_dump(metadata, allow_unicode=True), "utf-8")
    (file,) = storage_files(bag)
    return read_everything(bag, file, rng)


INDEX = np.arange(40)
RECORDING = {
    "t_us": INDEX * 10,
    "x": INDEX % 30,
    "y": INDEX % 20,
    "p": INDEX % 2,
    "width": np.array(346),
    "height": np.array(260),
}
LABELS = {
    "gt_t_us": np.arange(5) * 10,
    "gt": np.ones((5, 13, 2)),
    "gt_conf": np.ones((5, 13)),
}
TRUTH = {
    "label_ns": np.arange(5) * 10**7,
    "keypoints_px": np.ones((5, 13, 2), np.float32),
    "joints_m": np.ones((5, 13, 3), np.float32),
    "visible": np.ones((5, 13), bool),
    "camera_matrix": DHP19_LIKE[0].matrix,
    "name": np.array("walking"),
}


def read_source(path: Path) -> str:
    try:
        source = open_source(path)
        latest = -1
        while (events := source.read()) is not None:
            check_events(events, source.width, source.height)
            if len(events):
                assert events["t"][0] >= max(latest, 0)
                latest = int(events["t"][-1])
    except SourceError as error:
        return told(error, str(path))
    return "lost some" if source.trouble else "read"


def fuzz_npz(rng: Rng, folder: Path) -> str:
    """Read events in arrays of odd types and shapes."""
    path = folder / "a.npz"
    np.savez(path, **altered_arrays(RECORDING, rng))
    return read_source(path)


def fuzz_labels(rng: Rng, folder: Path) -> str:
    """Read labels of points in arrays of odd types and shapes."""
    path = folder / "l.npz"
    np.savez(path, **altered_arrays(LABELS, rng))
    try:
        labels = load_point_labels(path)
    except UserError as error:
        return told(error, str(path))
    if labels is None:
        return "none"
    assert (np.diff(labels.t_ns) > 0).all() and (labels.t_ns >= 0).all()
    points, confidence = labels.at(np.array([0, 15_000, 10**12]))
    assert np.isfinite(points).all() and ((confidence >= 0) & (confidence <= 1)).all()
    return "read"


def fuzz_truth(rng: Rng, folder: Path) -> str:
    """Read labels of the simulator in arrays of odd types and shapes."""
    path = folder / "t.truth.npz"
    np.savez(path, **altered_arrays(TRUTH, rng))
    try:
        found = load_truth(path)
    except UserError as error:
        return told(error, str(path))
    assert (np.diff(found.label_ns) > 0).all() and np.isfinite(found.camera_matrix).all()
    return "read"


def write_h5(path: Path, arrays: dict[str, Any], rng: Rng) -> None:
    """Write arrays to HDF5, some as what is no array."""
    with h5py.File(path, "w", libver="latest" if rng.random() < 0.5 else "earliest") as file:
        for name, value in arrays.items():
            kind = rng.integers(60)
            try:
                if kind == 0:
                    file[name] = h5py.SoftLink("/" + pick(rng, list(arrays)))
                elif kind == 1:
                    file.create_group(name)
                elif kind == 2:
                    shape = (pick(rng, (2**20, 2**33, 2**45)), *np.shape(value)[1:])
                    file.create_dataset(name, shape, "f8", chunks=True)
                elif kind == 3:
                    file[name] = h5py.ExternalLink(path.name, name)
                elif kind == 4:
                    file[name] = np.zeros(5, [("a", "f8"), ("b", "i4")])
                else:
                    file[name] = value
            except (TypeError, ValueError, OSError, RuntimeError):
                file.require_group(name)


def fuzz_derived(rng: Rng, folder: Path) -> str:
    """Read events of DHP19 in HDF5 of odd types and shapes."""
    path = folder / "a.h5"
    columns = {"t": INDEX * 10, "x": INDEX % 30 + 1, "y": INDEX % 20 + 1, "p": INDEX % 2}
    arrays = {f"cam{n}_events/{name}": own for n in range(4) for name, own in columns.items()}
    write_h5(path, altered_arrays(arrays, rng), rng)
    try:
        recording = DerivedRecording(path)
        for batch in recording.batches():
            for events in batch:
                check_events(events, 346, 260)
    except UserError as error:
        return told(error, str(path))
    return "lost some" if recording.trouble else "read"


def fuzz_derived_labels(rng: Rng, folder: Path) -> str:
    """Read labels of DHP19 in HDF5 of odd types and shapes."""
    path = folder / "l.h5"
    arrays = {"XYZ/3d_poses": np.ones((5, 3, 13)), "XYZ/timestamps": np.arange(5) * 10_000}
    write_h5(path, altered_arrays(arrays, rng), rng)
    try:
        times_ns, joints_m = load_derived_labels(path)
    except UserError as error:
        return told(error, str(path))
    assert joints_m.shape == (len(times_ns), 13, 3) and (np.diff(times_ns) > 0).all()
    return "read"


def fuzz_matlab(rng: Rng, folder: Path) -> str:
    """Read labels of DHP19 whose structure has odd or missing fields, in each format."""
    path = folder / "l.mat"
    fields = altered_arrays({field: np.ones((5, 3)) for field in FIELDS}, rng)
    if rng.random() < 0.5:
        write_h5(path, {f"XYZPOS/{name}": np.transpose(own) for name, own in fields.items()}, rng)
    else:
        extra = pick(rng, ({}, {"cell": np.array([1, "a"], object)}, {"deep": {"a": {"b": 1}}}))
        name = "XYZPOS" if rng.random() < 0.95 else "XYZ"
        version = pick(rng, ("5", "5", "4"))
        with contextlib.suppress(ValueError, TypeError):
            scipy.io.savemat(path, {name: fields | extra}, format=version)
    try:
        joints_m = load_labels(path)
    except UserError as error:
        return told(error, str(path))
    assert joints_m.shape[1:] == (13, 3) and len(joints_m)
    return "read"


HEADER_LINES = (
    *("evt 2.0", "evt 2.1", "evt 3.0", "evt 9", "evt", "format EVT2", "format EVT21;endianness="),
    *("format EVT21;endianness=legacy;width=64;height=48", "format EVT3;height=48;width=64"),
    *(
        "geometry 64x48",
        "geometry 0x0",
        "geometry 99999x1",
        "geometry -1x5",
        "geometry 64x",
        "end",
    ),
    *("Width 64", "Height 48", "Version 2", "plugin_name hal_plugin_gen31_fx3", "", "x" * 5000),
    *("width 64", "height 48", "\xff\xfe", "geometry ٦٤x48", "camera_integrator_name a\x00b"),
)


def fuzz_prophesee(rng: Rng, folder: Path) -> str:
    """Read words, half of them good, behind an odd header."""
    path = folder / pick(rng, ("a.raw", "a.dat"))
    lines = ["evt 2.0", "geometry 64x48"] if rng.random() < 0.7 else []
    lines[:1] = [pick(rng, HEADER_LINES[:9])] * len(lines[:1])
    lines += [pick(rng, HEADER_LINES) for _ in range(int(rng.integers(0, 4)))]
    end = pick(rng, ("\n", "\n", "\n", "\r\n", ""))
    header = "".join(f"% {line}{end}" for line in lines).encode()
    kind = rng.integers(4)
    count = int(rng.integers(0, 400))
    if kind == 0:
        words = rng.bytes(count)
    elif kind == 1:
        high = np.full(count, 8 << 28, np.uint32) + np.arange(count, dtype=np.uint32)
        low = rng.integers(0, 2**29, count).astype(np.uint32) & 0x1FFFF83F
        words = np.stack((high, low), axis=1).astype("<u4").tobytes()
    elif kind == 2:
        codes = np.array((0, 2, 3, 4, 5, 6, 8))[rng.integers(0, 7, count)]
        words = (codes << 12 | rng.integers(0, 60, count)).astype("<u2").tobytes()
    else:
        pixels = rng.integers(0, 60, count) | rng.integers(0, 40, count) << 14
        words = np.stack((np.arange(count), pixels), axis=1).astype("<u4").tobytes()
        words = bytes((pick(rng, (0, 12, 7)), 8)) + words
    path.write_bytes(header + words)
    return read_source(path)


def fuzz_aedat4_header(rng: Rng, folder: Path) -> str:
    """Find the cameras in an odd header of AEDAT4."""
    path = folder / "a.aedat4"
    node = (
        '<node name="{0}"><attr key="typeIdentifier" type="string">{1}</attr>'
        '<node name="info"><attr key="source" type="string">{2}</attr></node></node>'
    )
    parts = [
        node.format(number, pick(rng, ("EVTS", "FRME", "EV", "")), pick(rng, ("a", "b", "", "ä<")))
        for number in range(int(rng.integers(0, 5)))
    ]
    parts.insert(0, 'key="typeIdentifier"' * int(rng.integers(0, 3)) * 3000)
    content = bytearray("".join(parts).encode())
    for _ in range(int(rng.integers(0, 5))):
        if content:
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
    size = pick(rng, (len(content), 0, 2**32 - 1, 5))
    path.write_bytes(b"#!AER-DAT4.0\r\n" + struct.pack("<I", size) + content)
    try:
        cameras = _find_cameras(path)
        chosen = _choose(path, cameras, pick(rng, ("", "", "0", "a", "7", "²")))
    except SourceError as error:
        return told(error, str(path))
    assert chosen in (*cameras, "")
    return "read"


TARGETS: dict[str, Target] = {
    "calibration": fuzz_calibration,
    "matrices": fuzz_matrices,
    "metadata": fuzz_metadata,
    "database": fuzz_database,
    "mcap": fuzz_mcap,
    "npz": fuzz_npz,
    "labels": fuzz_labels,
    "truth": fuzz_truth,
    "h5": fuzz_derived,
    "h5 labels": fuzz_derived_labels,
    "mat": fuzz_matlab,
    "prophesee": fuzz_prophesee,
    "aedat4 header": fuzz_aedat4_header,
}


def fuzz(target: Target, count: int, seed: int, folder: Path) -> dict[str, int]:
    """Run a target; returns how often what came of it. The seed of a failure is in its note."""
    outcomes: collections.Counter[str] = collections.Counter()
    for turn in range(count):
        for attempt in range(3):
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)
                    outcome = target(np.random.default_rng((seed, turn)), folder)
                after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                assert after - before < MAX_GROWTH_KB, "takes too much memory"
            except Exception as error:
                error.add_note(f"seed ({seed}, {turn})")
                raise
            if time.perf_counter() - start < MAX_S:
                break
            assert attempt < 2, f"seed ({seed}, {turn}) takes too long"
        outcomes[outcome] += 1
    return dict(outcomes)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_odd_content_gives_good_results_or_the_error(tmp_path: Path, name: str) -> None:
    outcomes = fuzz(TARGETS[name], 150, 1, tmp_path)
    assert outcomes.get("refused", 0) > 0
    assert sum(outcomes.values()) > outcomes.get("refused", 0)


def main() -> None:
    """Run all targets, or those named, as many inputs as the first argument says."""
    total, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    names = sys.argv[3:] or list(TARGETS)
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            outcomes = fuzz(TARGETS[name], -(-total // len(names)), seed, Path(folder))
            seconds = time.perf_counter() - start
            print(f"{name:14} {seconds:7.1f} s  {dict(sorted(outcomes.items()))}", flush=True)


if __name__ == "__main__":
    main()
