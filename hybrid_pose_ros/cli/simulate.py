# SPDX-License-Identifier: Apache-2.0
"""`hybrid-pose simulate`: a recording of a simulated person, with exact labels."""

import argparse
from pathlib import Path
from typing import Any

from rich.progress import Progress

from hybrid_pose_ros.cli import CommandError, writing

DEFAULT_SECONDS = 20.0


def add_parser(subparsers: Any) -> None:
    """Add `simulate`."""
    parser = subparsers.add_parser(
        "simulate", help="make recordings with exact labels from simulated motion"
    )
    parser.add_argument("--out", type=Path, help="AEDAT4 file; the labels go to *.truth.npz")
    parser.add_argument(
        "--dhp19",
        type=Path,
        metavar="FOLDER",
        help="instead of --out: the events of four cameras in one file (*.aedat), labels (*.mat) "
        "and calibration, in the layout of the data set DHP19",
    )
    parser.add_argument("--seconds", type=float, help="length (s; default: 20, or all of a clip)")
    parser.add_argument("--motion", default="walking", help="a movement, or `list` for all names")
    parser.add_argument("--seed", type=int, default=0, help="the recording is a function of it")
    parser.add_argument("--camera", default="front_left", help="a camera, or `list`")
    parser.add_argument("--calibration", type=Path, help="folder of DHP19's P1 to P4: its cameras")
    parser.add_argument("--mocap", type=Path, help="motion capture (.npz) instead of a movement")
    parser.add_argument("--clip", help="the clip of the motion capture, such as cmu_s01_01")


def run(args: argparse.Namespace) -> int:
    """Simulate and write, or list what there is."""
    import numpy as np

    from hybrid_pose_ros.geometry.cameras import DHP19_LIKE, CameraError, load_dhp19_cameras
    from hybrid_pose_ros.simulation.dhp19 import LEAD_S
    from hybrid_pose_ros.simulation.mocap import index_mocap, load_clip, turn_to
    from hybrid_pose_ros.simulation.movements import MOVEMENTS, make_motion
    from hybrid_pose_ros.simulation.recording import (
        Scene,
        save_recording,
        simulate_recording,
        truth_path,
    )

    if args.clip is not None and args.mocap is None:
        raise CommandError("--clip needs --mocap: the file that the clip is in")
    try:
        cameras = {camera.name: camera for camera in DHP19_LIKE}
        if args.calibration is not None:
            found = load_dhp19_cameras(args.calibration).values()
            cameras |= {camera.name: camera for camera in found}
        clips = [] if args.mocap is None else list(index_mocap(args.mocap))
    except (CameraError, OSError, ValueError) as error:
        raise CommandError(str(error)) from error
    if args.motion == "list" or args.camera == "list":
        print("\n".join(cameras if args.camera == "list" else (clips or MOVEMENTS)))
        return 0
    if args.dhp19 is None and args.out is None:
        raise CommandError("--out is missing: name the AEDAT4 file to write")
    if args.dhp19 is not None and args.out is not None:
        raise CommandError("--out and --dhp19 exclude each other: give one of them")
    if args.out is not None and args.out.suffix != ".aedat4":
        raise CommandError(f"{args.out}: the file's name must end in .aedat4")
    if args.seconds is not None and args.seconds <= 0:
        raise CommandError(f"--seconds must be positive, not {args.seconds}")
    rng = np.random.default_rng(args.seed)
    camera = _choose(cameras, args.camera, "camera")
    # a recording of DHP19 goes on for a little before its first and after its last label
    spare = 0.0 if args.dhp19 is None else 2 * LEAD_S
    if args.mocap is not None:
        name = _choose({n: n for n in clips}, args.clip or clips[0], "clip")
        try:
            clip = load_clip(args.mocap, name)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        motion = turn_to(clip, np.pi)  # towards the front cameras, as in DHP19
        seconds = args.seconds or motion.duration_s - spare
        if seconds + spare > motion.duration_s:
            raise CommandError(
                f"clip {clip.name} lasts {motion.duration_s:.2f} s, "
                f"less than --seconds {seconds:g}" + f" and {spare:g} s around" * bool(spare)
            )
    else:
        _choose(MOVEMENTS, args.motion, "movement")
        seconds = args.seconds or DEFAULT_SECONDS
        motion = make_motion(args.motion, rng, seconds + spare)
    if args.dhp19 is not None:
        return _simulate_dhp19(args.dhp19, args.calibration, motion, seconds, rng)
    scene = Scene.sample(motion, camera, rng)
    with Progress() as progress:
        task = progress.add_task("simulating", total=seconds)
        recording = simulate_recording(
            scene, seconds, progress=lambda done_s: progress.update(task, completed=done_s)
        )
    with writing(args.out):
        args.out.parent.mkdir(parents=True, exist_ok=True)
        save_recording(recording, args.out)
    print(f"{args.out}: {len(recording.events):,} events in {seconds:g} s")
    print(f"{truth_path(args.out)}: {len(recording.truth.label_ns)} labels")
    return 0


def _simulate_dhp19(
    folder: Path, calibration: Path | None, motion: Any, seconds: float, rng: Any
) -> int:
    from hybrid_pose_ros.geometry.cameras import load_dhp19_cameras
    from hybrid_pose_ros.simulation import dhp19

    cameras = list(dhp19.CHANNEL_CAMERAS)
    if calibration is not None:
        found = load_dhp19_cameras(calibration)
        cameras = [found[channel] for channel in sorted(found)]
    recording, labels = folder / f"{motion.name}.aedat", folder / f"{motion.name}.mat"
    scenes = dhp19.four_scenes(motion, cameras, rng)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with Progress() as progress:
            task = progress.add_task("simulating", total=seconds + 2 * dhp19.LEAD_S)
            events, count = dhp19.write_dhp19(
                recording,
                labels,
                scenes,
                seconds,
                progress=lambda done_s: progress.update(task, completed=done_s),
            )
        dhp19.write_calibration(folder, cameras)
    print(f"{recording}: {events:,} events of {len(cameras)} cameras in {seconds:g} s")
    print(f"{labels}: {count} labels")
    print(f"{folder}: calibration P1.npy to P4.npy")
    return 0


def _choose(options: dict[str, Any], name: str, what: str) -> Any:
    if name not in options:
        raise CommandError(f"no {what} is called {name!r}; there are {', '.join(options)}")
    return options[name]
