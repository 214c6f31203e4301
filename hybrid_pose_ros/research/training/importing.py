# SPDX-License-Identifier: Apache-2.0
"""Labelled recordings become training data beside the rendered one.

Recordings are DHP19's originals, bags with ground truth and calibration, and recordings with 2D
labels. They are binned as rendered ones are. Of a joint whose label is missing, or of low
confidence, nothing is taught: neither where it is nor that it is out of view.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybrid_pose_ros.bags.bag import BagError, installed_typestore, read_raw, reading
from hybrid_pose_ros.bags.contents import inspect_bag
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.bags.opening import open_recording
from hybrid_pose_ros.events.array import EventArray, join_events
from hybrid_pose_ros.events.dhp19.cleaning import Cleaning
from hybrid_pose_ros.events.dhp19.labels import LABEL_NS, LabelError, load_labels
from hybrid_pose_ros.events.dhp19.recording import Dhp19Recording
from hybrid_pose_ros.events.labelled import LabelledFileError, PointLabels, load_point_labels
from hybrid_pose_ros.geometry.cameras import DHP19_SIZE, Camera
from hybrid_pose_ros.interfaces.messages import camera_from_info, joints_from_message
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO, EVENTS, GROUND_TRUTH
from hybrid_pose_ros.metrics.pose_score import LABEL_CONFIDENCE
from hybrid_pose_ros.networks.config import ModelConfig
from hybrid_pose_ros.research.training.shards import IMPORTED, ShardError, write_shard

DHP19_CAMERAS: Final = (2, 3)
"""Channels of DHP19's front cameras, those of the paper."""

DHP19_TEST_SUBJECTS: Final = (13, 14, 15, 16, 17)
"""Subjects of DHP19 that are never trained on, as in the paper."""

_DHP19_FILE: Final = re.compile(r"S(\d+)/session(\d+)/mov(\d+)\.aedat$")


@dataclass(frozen=True)
class LabelledRecording:
    """A recording of one person by one camera, with labels.

    Attributes:
        name: of the folder that it becomes.
        events: in order of time.
        width, height: of the sensor in pixels.
        labels: where the joints are.
        source: what it was read from.
        meta: JSON, what else is known of it.
    """

    name: str
    events: EventArray
    width: int
    height: int
    labels: PointLabels
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)


class _Known:
    """Labels as shards take them: those of enough confidence, the others unknown."""

    def __init__(self, labels: PointLabels) -> None:
        self._labels = labels

    @property
    def label_ns(self) -> NDArray[np.int64]:
        """Moments of the labels."""
        return self._labels.t_ns

    def at(self, sensor_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return places in px, NaN where they are not known, and whether they are known."""
        points, confidence = self._labels.at(sensor_ns)
        sure = confidence >= LABEL_CONFIDENCE
        return np.where(sure[..., None], points, np.nan), sure


def import_recording(folder: Path, recording: LabelledRecording, config: ModelConfig) -> Path:
    """Bin a recording for a model and write it below ``folder``; returns its place.

    Raises:
        ShardError: there are no events while there are labels, or the labels are too few.
    """
    if len(recording.labels.t_ns) < 2:
        raise ShardError(f"{recording.source}: fewer than two labels, nothing can be learnt")
    place = folder / recording.name
    write_shard(
        place,
        config,
        events=recording.events,
        sensor_size=(recording.width, recording.height),
        truth=_Known(recording.labels),
        meta={IMPORTED: recording.source, **recording.meta},
    )
    return place


def project_labels(
    t_ns: NDArray[np.int64], joints_m: NDArray[np.floating], camera: Camera
) -> PointLabels:
    """Return where a camera sees joints [n, 13, 3] (metres, NaN: lost) at times [n].

    Joints behind the camera count as lost.
    """
    points = camera.project(np.asarray(joints_m, np.float64))
    with np.errstate(invalid="ignore"):
        points = np.where((camera.depth(joints_m) > 0)[..., None], points, np.nan)
    known = np.asarray(np.isfinite(points).all(-1), np.float64)
    return PointLabels(t_ns, points, known)


@dataclass(frozen=True)
class Dhp19Files:
    """An original recording of DHP19 and its labels.

    Attributes:
        recording: `.aedat` file.
        labels: `.mat` file.
        subject, session, movement: their numbers, from 1; None where the file's name says none.
    """

    recording: Path
    labels: Path
    subject: int | None = None
    session: int | None = None
    movement: int | None = None

    @property
    def name(self) -> str:
        """Name among all, such as ``S1_2_1``."""
        if self.subject is None:
            return self.recording.stem
        return f"S{self.subject}_{self.session}_{self.movement}"


def find_dhp19(folder: Path) -> list[Dhp19Files]:
    """Find recordings, ``S1/session2/mov1.aedat``, and their labels, ``S1_2_1.mat``, in a folder.

    Raises:
        LabelError: there are none, or labels are missing.
    """
    labels = {path.stem: path for path in folder.rglob("S*.mat")}
    found, missing = [], []
    for path in folder.rglob("*.aedat"):
        match = _DHP19_FILE.search(path.as_posix())
        if match is None:
            continue
        subject, session, movement = map(int, match.groups())
        own = labels.get(f"S{subject}_{session}_{movement}")
        if own is None:
            missing.append(path)
        else:
            found.append(Dhp19Files(path, own, subject, session, movement))
    if missing:
        raise LabelError(
            f"{missing[0]}: no labels S<subject>_<session>_<movement>.mat in {folder}; "
            f"{len(missing)} recordings lack theirs, copy the folder Vicon_data, too"
        )
    if not found:
        raise LabelError(
            f"{folder}: no recordings S<subject>/session<number>/mov<number>.aedat; give the "
            "folder of DHP19 that holds DVS_movies and Vicon_data"
        )
    return sorted(found, key=lambda files: (files.subject, files.session, files.movement))


def dhp19_split(files: Dhp19Files, validation: Collection[int]) -> str:
    """Return the split of a recording by its subject: 13 to 17 are for the test."""
    if files.subject in DHP19_TEST_SUBJECTS:
        return "test"
    return "validation" if files.subject in validation else "train"


def dhp19_names(files: Dhp19Files, channels: Sequence[int]) -> list[str]:
    """Return the names of what the cameras of a recording become."""
    return [f"dhp19_{files.name}_cam{channel}" for channel in channels]


def read_dhp19(
    files: Dhp19Files, cameras: Mapping[int, Camera], channels: Sequence[int] = DHP19_CAMERAS
) -> Iterator[LabelledRecording]:
    """Read a recording, cleaned as the data set's authors do, as some of its cameras saw it.

    Args:
        cameras: channel -> calibration.
        channels: whose views are read, 0 to 3.

    Raises:
        Aedat2Error, RecordingError: the recording cannot be read, or is corrupt.
        LabelError: the labels cannot be read.
    """
    joints = load_labels(files.labels)
    source = Dhp19Recording(files.recording, Cleaning(), len(joints))
    t_ns = source.span.start_us * 1000 + np.arange(len(joints)) * LABEL_NS
    parts = list(source.batches())
    for channel, name in zip(channels, dhp19_names(files, channels), strict=True):
        yield LabelledRecording(
            name=name,
            events=join_events([batch[channel] for batch in parts]),
            width=DHP19_SIZE[0],
            height=DHP19_SIZE[1],
            labels=project_labels(t_ns, joints, cameras[channel]),
            source=str(files.recording),
            meta={
                "camera": f"cam{channel}",
                "subject": files.subject,
                "session": files.session,
                "movement": files.movement,
            },
        )


def read_bag(path: Path, names: Sequence[str] = ()) -> Iterator[LabelledRecording]:
    """Read what calibrated cameras of a bag saw, with its ground truth.

    Args:
        path: the bag.
        names: namespaces of cameras; none: all that are calibrated.

    Raises:
        BagError: the bag is damaged, or lacks ground truth or a calibration.
        CameraError: a calibration makes no sense.
    """
    contents = inspect_bag(path)
    if not contents.has_truth:
        raise BagError(f"{path}: no ground truth on {GROUND_TRUTH.name}, so nothing to learn")
    chosen = contents.choose(names)
    store = installed_typestore()
    times: list[int] = []
    joints: list[NDArray[np.float64]] = []
    infos: dict[str, Any] = {}
    topics = [GROUND_TRUTH, *(CAMERA_INFO.under(camera) for camera in contents.calibrated)]
    for stored in read_raw(path, [topic.name for topic in topics]):
        with reading(path):
            if stored.topic == GROUND_TRUTH.name:
                message: Any = store.deserialize_cdr(stored.data, GROUND_TRUTH.type)
                times.append(message.sensor_time)
                joints.append(joints_from_message(message))
            else:
                namespace = stored.topic.rpartition("/")[0]
                info: Any = store.deserialize_cdr(stored.data, CAMERA_INFO.type)
                infos.setdefault(namespace, info)
    read = {namespace: camera_from_info(info) for namespace, info in infos.items()}
    cameras = {namespace: camera for namespace, camera in read.items() if camera is not None}
    chosen = tuple(camera for camera in chosen if names or camera in cameras)
    if lacking := [camera for camera in chosen if camera not in cameras]:
        raise BagError(
            f"{path}: no calibration of camera {lacking[0]}; joints cannot be projected"
        )
    if not chosen:
        raise BagError(f"{path}: no calibrated camera, joints cannot be projected")
    t_ns, first = np.unique(np.array(times, np.int64), return_index=True)
    joints_m = np.stack(joints)[first]
    for namespace in chosen:
        topic = EventTopic(path, EVENTS.under(namespace).name, store)
        own = namespace.strip("/").replace("/", "_") or "root"
        yield LabelledRecording(
            name=f"{path.stem}_{own}",
            events=join_events(list(topic.events())),
            width=topic.width,
            height=topic.height,
            labels=project_labels(t_ns, joints_m, cameras[namespace]),
            source=str(path),
            meta={"camera": own},
        )


def read_labelled(path: Path, labels: Path | None, camera: int = 0) -> LabelledRecording:
    """Read a recording with 2D labels, from the file itself (`.npz`) or from one of their own.

    Args:
        path: anything that :func:`~hybrid_pose_ros.bags.opening.open_recording` reads.
        labels: `.npz` file of the labels.
        camera: number of the camera, of a recording by several.

    Raises:
        SourceError: the recording cannot be read.
        LabelledFileError: the labels cannot be read, or there are none.
    """
    recording = open_recording(path, camera=camera)
    found = None
    if labels is not None or path.suffix == ".npz":
        found = load_point_labels(path if labels is None else labels)
    if found is None:
        raise LabelledFileError(f"{labels or path}: no labels; give a file with them: --labels")
    return LabelledRecording(
        name=f"{path.stem}_cam{camera}",
        events=recording.read_all(),
        width=recording.width,
        height=recording.height,
        labels=found,
        source=str(path),
        meta={"camera": f"cam{camera}"},
    )
