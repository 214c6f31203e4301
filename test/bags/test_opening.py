# SPDX-License-Identifier: Apache-2.0
"""One function opens whatever the package reads."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from rosbags.typesys.store import Typestore

from hybrid_pose_ros import open_recording
from hybrid_pose_ros.bags.event_topic import EventTopic
from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.dhp19.writer import Dhp19Writer
from hybrid_pose_ros.events.sources import SourceError

EVENTS = make_events(np.arange(1000) * 1_000_000, np.arange(1000) % 346, 5, np.arange(1000) % 2)


def write_npz(path: Path) -> None:
    columns = {name: EVENTS[name] for name in "xy"}
    np.savez(
        path, t_us=EVENTS["t"] // 1000, p=EVENTS["polarity"], width=346, height=260, **columns
    )


def test_files_of_one_camera_are_iterated_in_batches(tmp_path: Path) -> None:
    write_aedat4(tmp_path / "a.aedat4", [EVENTS], 346, 260)
    write_npz(tmp_path / "a.npz")
    for path in (tmp_path / "a.aedat4", str(tmp_path / "a.npz")):
        recording = open_recording(path)
        assert (recording.width, recording.height) == (346, 260)
        np.testing.assert_array_equal(np.concatenate(list(recording)), EVENTS)


def test_a_part_is_read_by_seconds_after_the_first_event(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz")
    part = open_recording(tmp_path / "a.npz").read_all(0.25, 0.5)
    np.testing.assert_array_equal(part, EVENTS[250:500])
    assert not len(open_recording(tmp_path / "a.npz").read_all(5.0))


def test_a_camera_of_a_bag_is_chosen_by_its_number(small_bag: Path, store: Typestore) -> None:
    for camera in (0, 1):
        expected = list(EventTopic(small_bag, f"/cam{camera}/events", store).events())
        found = open_recording(small_bag, camera=camera).read_all()
        np.testing.assert_array_equal(found, np.concatenate(expected))
    with pytest.raises(SourceError, match="no camera 2; there are 2, counted from 0"):
        open_recording(small_bag, camera=2)


def test_a_camera_of_dhp19s_files_is_chosen(tmp_path: Path) -> None:
    own = [EVENTS[:500], EVENTS[500:], EVENTS[:0], EVENTS[:0]]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for camera, events in enumerate(own):
            group = file.create_group(f"cam{camera}_events")
            group["t"], group["p"] = events["t"] // 1000, events["polarity"].astype(np.uint8)
            group["x"], group["y"] = events["x"] + 1, events["y"] + 1
    np.testing.assert_array_equal(open_recording(tmp_path / "a.h5", camera=1).read_all(), own[1])
    with Dhp19Writer(tmp_path / "a.aedat") as writer:
        writer.write(own)
    recording = open_recording(tmp_path / "a.aedat", camera=1)
    assert (recording.width, recording.height) == (346, 260)
    with pytest.raises(SourceError, match="no camera 4"):
        open_recording(tmp_path / "a.aedat", camera=4)


def test_what_cannot_be_opened_is_one_kind_of_error(tmp_path: Path) -> None:
    for name in ("none.aedat4", "none.mcap", "none.h5", "none.npz", "none.aedat"):
        with pytest.raises(SourceError, match="none"):
            open_recording(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="a folder without a bag"):
        open_recording(tmp_path / "empty")
