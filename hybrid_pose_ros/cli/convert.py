# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose convert`: recordings to bags, bags and videos to recordings."""

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from hybrid_pose_ros.cli import CommandError, pixel_size, warn
from hybrid_pose_ros.cli.to_aedat4 import convert_bag, convert_video

if TYPE_CHECKING:
    from hybrid_pose_ros.bags.convert import CameraSetup, GroundTruth, Recording, Result
    from hybrid_pose_ros.events.sources import FileSource

_STEPS = {
    "trim": "keep events before the start signal and after the stop signal",
    "mirror": "leave both axes as the sensors are read out",
    "hot_pixels": "keep the events of pixels with 10,000 or more of them",
    "background": "keep events without another one nearby in the last 70 ms",
    "masks": "keep events where lamps of the motion capture shine",
}
"""The steps of the cleaning, and what leaving one out does."""


def add_parser(subparsers: Any) -> None:
    """Add `convert`."""
    parser = subparsers.add_parser(
        "convert",
        help="make bags of recordings, and recordings of bags and videos",
        description="Make a bag (rosbag2) of a recording, or a recording of a bag or video.",
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="kind")

    dhp19 = _to_bag(kinds, "dhp19", "an original recording of DHP19 (*.aedat, four cameras)")
    dhp19.add_argument("--labels", type=Path, help="its Vicon labels (*.mat)")
    dhp19.add_argument("--calibration", type=Path, help="folder of DHP19's P1.npy to P4.npy")
    for step, effect in _STEPS.items():
        dhp19.add_argument(f"--no-{step.replace('_', '-')}", action="store_true", help=effect)

    h5 = _to_bag(kinds, "h5", "DHP19 in HDF5 with the events of each camera")
    h5.add_argument("--labels", type=Path, help="its labels (HDF5)")
    h5.add_argument("--calibration", type=Path, help="folder of DHP19's P1.npy to P4.npy")

    aedat4 = _to_bag(kinds, "aedat4", "an AEDAT4 file of one camera")
    aedat4.add_argument(
        "--labels",
        type=Path,
        help="labels of the simulator (default: *.truth.npz beside the file, if it is there)",
    )
    aedat4.add_argument(
        "--camera", default="", help="which of several: its name, or its number from 0 on"
    )
    aedat2 = _to_bag(kinds, "aedat2", "an AEDAT 2.0 file of one DAVIS (*.aedat, *.aedat2)")
    raw = _to_bag(kinds, "raw", "a file of a Prophesee camera (*.raw: EVT 2.0, 2.1 or 3.0; *.dat)")
    for parser_ in (aedat2, raw):
        parser_.add_argument("--size", help="WIDTHxHEIGHT in pixels, for files that do not tell")
    _to_bag(kinds, "npz", "events in *.npz (t_us, x, y, p, width, height)")

    bag = kinds.add_parser("bag", help="a bag, to AEDAT4")
    bag.add_argument("recording", type=Path, metavar="BAG", help="the bag (folder)")
    bag.add_argument("--out", type=Path, required=True, help="AEDAT4 file to be made")
    bag.add_argument("--topic", default="/cam0/events", help="events (default: %(default)s)")

    recover = kinds.add_parser("recover", help="a damaged bag, to a whole one (mcap)")
    recover.add_argument(
        "recording", type=Path, metavar="BAG", help="folder of the bag, or a file of it"
    )
    recover.add_argument("--out", type=Path, required=True, help="bag (folder) to be made")

    video = kinds.add_parser(
        "video", help="a video of an ordinary camera, seen by a simulated event sensor, to AEDAT4"
    )
    video.add_argument("recording", type=Path, metavar="VIDEO", help="the video")
    video.add_argument("--out", type=Path, required=True, help="AEDAT4 file to be made")
    video.add_argument(
        "--size",
        default="346x260",
        help="WIDTHxHEIGHT of the sensor in pixels; the picture is scaled into it uniformly, "
        "with empty bars beside it (default: %(default)s)",
    )
    video.add_argument(
        "--crop", action="store_true", help="fill the sensor's view, cut off what protrudes"
    )


def _to_bag(kinds: Any, name: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=what)
    parser.add_argument("recording", type=Path, help=what)
    parser.add_argument("--out", type=Path, required=True, help="bag (folder) to be made")
    parser.add_argument(
        "--encoding",
        default="mono",
        choices=("mono", "libcaer", "libcaer_cmp", "evt3"),
        help="of the events (default: %(default)s)",
    )
    parser.add_argument(
        "--packet-ms", type=float, default=5.0, help="length of a packet (default: %(default)s)"
    )
    parser.add_argument(
        "--storage",
        default="mcap",
        choices=("mcap", "sqlite3"),
        help="file format of the bag (default: %(default)s)",
    )
    parser.add_argument("--compress", action="store_true", help="compress the bag (mcap, zstd)")
    parser.add_argument(
        "--verify", action="store_true", help="read the bag and compare its events"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert."""
    if args.kind == "bag":
        return convert_bag(args)
    if args.kind == "video":
        return convert_video(args)
    if args.kind == "recover":
        return _recover(args)
    return _write_bag(args, *_OPEN[args.kind](args))


_Opened = tuple["Recording", "list[CameraSetup]", "GroundTruth | None"]


def _open_dhp19(args: argparse.Namespace) -> _Opened:
    import numpy as np

    from hybrid_pose_ros.bags.convert import GroundTruth
    from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
    from hybrid_pose_ros.events.dhp19.labels import LABEL_NS, load_labels
    from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording

    cleaning = Cleaning(**{step: not getattr(args, f"no_{step}") for step in _STEPS})
    joints = None if args.labels is None else load_labels(args.labels)
    count = None if joints is None else len(joints)
    recording = Dhp19Recording(args.recording, cleaning, count)
    truth = None
    if joints is not None:
        moments = recording.span.start_us * 1000 + np.arange(len(joints)) * LABEL_NS
        truth = GroundTruth(moments, joints)
    return recording, _four_cameras(args.calibration), truth


def _open_h5(args: argparse.Namespace) -> _Opened:
    from hybrid_pose_ros.bags.convert import GroundTruth
    from hybrid_pose_ros.events.dhp19.derived import DerivedRecording, load_derived_labels

    truth = None if args.labels is None else GroundTruth(*load_derived_labels(args.labels))
    return DerivedRecording(args.recording), _four_cameras(args.calibration), truth


def _four_cameras(calibration: Path | None) -> "list[CameraSetup]":
    from hybrid_pose_ros.bags.convert import CameraSetup
    from hybrid_pose_ros.geometry.cameras import DHP19_MATRICES, DHP19_SIZE, load_dhp19_cameras

    models = {} if calibration is None else load_dhp19_cameras(calibration)
    return [CameraSetup(*DHP19_SIZE, models.get(channel)) for channel in DHP19_MATRICES]


def _open_aedat4(args: argparse.Namespace) -> _Opened:
    from hybrid_pose_ros.bags.convert import CameraSetup, GroundTruth, SourceRecording
    from hybrid_pose_ros.events.sources import Aedat4Source
    from hybrid_pose_ros.geometry.cameras import Camera
    from hybrid_pose_ros.simulation.recording import load_truth, truth_path

    source = Aedat4Source(args.recording, args.camera)
    labels = args.labels
    if labels is None and truth_path(args.recording).is_file():
        labels = truth_path(args.recording)
    size = source.width, source.height
    if labels is None:
        return SourceRecording(source), [CameraSetup(*size)], None
    truth = load_truth(labels)
    camera = CameraSetup(*size, Camera(*size, truth.camera_matrix))
    return SourceRecording(source), [camera], GroundTruth(truth.label_ns, truth.joints_m)


def _open_file(args: argparse.Namespace) -> _Opened:
    from hybrid_pose_ros.bags.convert import CameraSetup, SourceRecording
    from hybrid_pose_ros.events.sources import Aedat2Source, NpzSource, RawSource

    source: FileSource
    if args.kind == "npz":
        source = NpzSource(args.recording)
    else:
        kind = Aedat2Source if args.kind == "aedat2" else RawSource
        source = kind(
            args.recording, None if args.size is None else pixel_size("--size", args.size)
        )
    return SourceRecording(source), [CameraSetup(source.width, source.height)], None


_OPEN: dict[str, Callable[[argparse.Namespace], _Opened]] = {
    "dhp19": _open_dhp19,
    "h5": _open_h5,
    "aedat4": _open_aedat4,
    "aedat2": _open_file,
    "raw": _open_file,
    "npz": _open_file,
}


def _write_bag(
    args: argparse.Namespace,
    recording: "Recording",
    cameras: "list[CameraSetup]",
    truth: "GroundTruth | None",
) -> int:
    from hybrid_pose_ros.bags.bag import installed_typestore
    from hybrid_pose_ros.bags.convert import Options, write_bag
    from hybrid_pose_ros.events.array import MalformedEventsError

    if not 0.01 <= args.packet_ms <= 1000:
        raise CommandError(f"--packet-ms must be from 0.01 to 1000, not {args.packet_ms:g}")
    if args.compress and args.storage != "mcap":
        raise CommandError("--compress needs --storage mcap")
    options = Options(args.encoding, round(args.packet_ms * 1e6), args.storage, args.compress)
    store = installed_typestore()
    begin = time.monotonic()
    try:
        with Progress() as bar:
            task = bar.add_task("converting", total=1.0)
            result = write_bag(
                args.out,
                recording,
                cameras,
                store,
                truth=truth,
                options=options,
                progress=lambda share: bar.update(task, completed=share),
            )
    except MalformedEventsError as error:
        raise CommandError(f"{args.recording}: {error}") from error
    seconds = time.monotonic() - begin
    if not any(digest.count for digest in result.digests):
        shutil.rmtree(args.out)
        trouble = f" ({recording.trouble})" if recording.trouble else ""
        raise CommandError(
            f"{args.recording}: no events in it{trouble}: it is damaged, or nothing was recorded; "
            "no bag was made"
        )
    _report(args, recording, result, truth, seconds)
    if args.verify:
        _verify(args.out, result, store)
    return 0


def _report(
    args: argparse.Namespace,
    recording: "Recording",
    result: "Result",
    truth: "GroundTruth | None",
    seconds: float,
) -> None:
    from hybrid_pose_ros.bags.convert import camera_topic
    from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording
    from hybrid_pose_ros.events.losses import describe_rate
    from hybrid_pose_ros.events.playback import MAX_GAP_NS
    from hybrid_pose_ros.interfaces.topics import EVENTS, GROUND_TRUTH

    tally = recording.tally if isinstance(recording, Dhp19Recording) else None
    for camera, digest in enumerate(result.digests):
        print(f"{camera_topic(EVENTS, camera).name}: {digest}")
        if tally is not None:
            print(f"  {tally.describe(camera)}")
    if truth is not None:
        print(f"{GROUND_TRUTH.name}: {result.labels} of {len(truth.sensor_ns)} labels")
    total = sum(digest.count for digest in result.digests)
    print(f"{args.out}: {total:,} events, {result.packets:,} packets, {seconds:.1f} s")
    if recording.trouble:
        _warn(f"{args.recording}: {recording.trouble}")
    for digest in result.digests:
        if odd := describe_rate(digest.count, digest.last_ns - digest.first_ns):
            _warn(f"{args.recording}: {odd}")
    if result.longest_gap_ns > MAX_GAP_NS:
        _warn(
            f"{args.recording}: there are {result.longest_gap_ns / 1e9:,.0f} s without an event: "
            "a damaged time stamp, or the camera was switched off"
        )
    if truth is not None and result.labels < len(truth.sensor_ns):
        missing = len(truth.sensor_ns) - result.labels
        _warn(f"{args.recording}: {missing} labels lie outside of the events' time: is it whole?")


def _verify(bag: Path, result: "Result", store: Any) -> None:
    from hybrid_pose_ros.bags.convert import camera_topic
    from hybrid_pose_ros.bags.event_topic import EventDigest, EventTopic
    from hybrid_pose_ros.interfaces.topics import EVENTS

    for camera, expected in enumerate(result.digests):
        found, name = EventDigest(), camera_topic(EVENTS, camera).name
        if expected.count:
            for events in EventTopic(bag, name, store).events():
                found.update(events)
        if (found.count, found.crc32) != (expected.count, expected.crc32):
            raise CommandError(f"{bag}: {name} holds {found}, not {expected}: convert it again")
    print(f"{bag}: read back, all events are there")


def _recover(args: argparse.Namespace) -> int:
    from hybrid_pose_ros.bags.bag import installed_typestore
    from hybrid_pose_ros.bags.recovery import recover_bag

    recovered = recover_bag(args.recording, args.out, installed_typestore())
    for topic, count in recovered.messages.items():
        print(f"{topic}: {count:,} messages")
    print(args.out)
    for trouble in recovered.troubles:
        _warn(f"{args.recording}: {trouble}")
    return 0


def _warn(text: str) -> None:
    warn("convert", text)
