# SPDX-License-Identifier: Apache-2.0
"""What `hybrid-pose view --save` writes, read back with Rerun's own reader."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.geometry.cameras import DHP19_LIKE
from hybrid_pose_ros.skeleton import JOINTS, LIMBS

from ..conftest import Refusal
from .conftest import HOST_NS, PERSON_M, STEP_NS, STEPS, UNSEEN_JOINT, pose_px

pytest.importorskip("rerun")

SEEN = [joint for joint in range(13) if joint != UNSEEN_JOINT]


def open_recording(path: Path) -> Any:
    import rerun.dataframe

    return rerun.dataframe.load_recording(path)


@pytest.fixture(scope="module")
def recording(bag: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bag as an .rrd file."""
    path = tmp_path_factory.mktemp("rrd") / "bag.rrd"
    assert main(["view", "--bag", str(bag), "--save", str(path)]) == 0
    return open_recording(path)


def paths(recording: Any) -> set[str]:
    columns = recording.schema().component_columns()
    return {c.entity_path for c in columns if not c.entity_path.startswith("/__")}


def column(
    recording: Any, path: str, component: str, index: str = "sensor_time"
) -> tuple[list[int], list[Any]]:
    """Times (ns) and values of a component."""
    table = recording.view(index=index, contents=path).select().read_all()
    times = table[index].cast("int64").to_pylist()
    values = table[f"{path}:{component}"].to_pylist()
    return times, values


def static(recording: Any, path: str, component: str) -> np.ndarray:
    table = recording.view(index="sensor_time", contents=path).select_static().read_all()
    return np.ravel(table[f"{path}:{component}"].to_pylist()[0])


def test_entities(recording: Any) -> None:
    """Two cameras; the third has a calibration only and is not shown."""
    skeletons = ["world/pose_3d", "world/ground_truth"]
    for name in ("cam0", "cam1"):
        skeletons += [f"world/{name}/pose", f"world/{name}/ground_truth"]
    expected = {f"/{path}/{part}" for path in skeletons for part in ("joints", "limbs")}
    for name in ("cam0", "cam1"):
        expected |= {f"/world/{name}", f"/world/{name}/events"}
        expected |= {
            f"/plots/{name}/{plot}" for plot in ("confidence", "init_age_ms", "latency_ms")
        }
    assert paths(recording) == expected | {"/world"}


@pytest.mark.parametrize("camera", [0, 1])
def test_pose(recording: Any, camera: int) -> None:
    path = f"/world/cam{camera}/pose"
    times, positions = column(recording, f"{path}/joints", "Points2D:positions")
    assert times == [step * STEP_NS for step in range(1, STEPS + 1)]
    for position in positions:
        np.testing.assert_allclose(position, pose_px(camera)[SEEN], atol=1e-3)
    _, labels = column(recording, f"{path}/joints", "Points2D:labels")
    assert labels[0] == [f"{JOINTS[joint]} 1.00" for joint in SEEN]
    _, strips = column(recording, f"{path}/limbs", "LineStrips2D:strips")
    drawn = [limb for limb in LIMBS if UNSEEN_JOINT not in limb]
    np.testing.assert_allclose(strips[-1], pose_px(camera)[drawn], atol=1e-3)


def test_confidence_of_all_joints(recording: Any) -> None:
    _, confidence = column(recording, "/world/cam0/pose/joints", "confidence")
    assert confidence == [[float(joint != UNSEEN_JOINT) for joint in range(13)]] * STEPS


def test_sides_have_colours(recording: Any) -> None:
    _, colours = column(recording, "/world/cam0/pose/joints", "Points2D:colors")
    of = {JOINTS[joint]: colour for joint, colour in zip(SEEN, colours[0], strict=True)}
    assert of["right_hip"] == 0xFF8A30FF
    assert of["left_hip"] == 0x3EDEA0FF


def test_host_time_is_that_of_arrival(recording: Any) -> None:
    times, _ = column(recording, "/world/cam0/pose/joints", "Points2D:positions", "host_time")
    assert times == [HOST_NS + step * STEP_NS + 2_500_000 for step in range(1, STEPS + 1)]


@pytest.mark.parametrize("name", ["pose_3d", "ground_truth"])
def test_pose_in_space(recording: Any, name: str) -> None:
    times, positions = column(recording, f"/world/{name}/joints", "Points3D:positions")
    assert times == [step * STEP_NS for step in range(1, STEPS + 1)]
    np.testing.assert_allclose(positions[0], PERSON_M, atol=1e-6)


@pytest.mark.parametrize("camera", [0, 1])
def test_ground_truth_is_projected(recording: Any, camera: int) -> None:
    _, positions = column(
        recording, f"/world/cam{camera}/ground_truth/joints", "Points2D:positions"
    )
    np.testing.assert_allclose(positions[0], pose_px(camera), atol=1e-3)


@pytest.mark.parametrize("camera", [0, 1])
def test_camera_projects_as_its_calibration(recording: Any, camera: int) -> None:
    path = f"/world/cam{camera}"
    # Rerun keeps matrices column by column.
    intrinsic = static(recording, path, "Pinhole:image_from_camera").reshape(3, 3).T
    rotation = static(recording, path, "Transform3D:mat3x3").reshape(3, 3).T
    centre = static(recording, path, "Transform3D:translation")
    image = (PERSON_M - centre) @ rotation @ intrinsic.T
    expected = DHP19_LIKE[camera].project(PERSON_M)
    np.testing.assert_allclose(image[:, :2] / image[:, 2:], expected, atol=0.01)
    assert static(recording, path, "Pinhole:resolution").tolist() == [346, 260]


def test_pictures_of_events_are_limited(recording: Any) -> None:
    """At 33 ms apart, of packets of 10 ms, every fourth makes a picture."""
    times, blobs = column(recording, "/world/cam0/events", "EncodedImage:blob")
    assert times == [step * STEP_NS - 1 for step in range(1, STEPS + 1, 4)]
    picture = cv2.imdecode(np.ravel(blobs[-1]).astype(np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (260, 346, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize(
    ("name", "value"), [("confidence", 12 / 13), ("init_age_ms", 4.0), ("latency_ms", 2.5)]
)
def test_plots(recording: Any, name: str, value: float) -> None:
    times, values = column(recording, f"/plots/cam1/{name}", "Scalars:scalars")
    assert len(times) == STEPS
    np.testing.assert_allclose(values, value, rtol=1e-6)


def test_namespace(bag: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.rrd"
    words = ["view", "--bag", str(bag), "--save", str(path), "--namespace", "/cam1"]
    assert main(words) == 0
    shown = paths(open_recording(path))
    assert "/world/cam1/events" in shown
    assert not any("cam0" in name for name in shown)


def test_what_cannot_be_shown(bag: Path, tmp_path: Path, refusal: Refusal) -> None:
    target = ["--save", str(tmp_path / "x.rrd")]
    assert "none: the bag cannot be read" in refusal("view", "--bag", tmp_path / "none", *target)
    assert "no events or poses to show in /cam7" in refusal(
        "view", "--bag", bag, *target, "--namespace", "/cam7"
    )
    assert "cannot be written" in refusal(
        "view", "--bag", bag, "--save", tmp_path / "no" / "x.rrd"
    )


def test_without_rerun(monkeypatch: pytest.MonkeyPatch, refusal: Refusal) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "`pip install -r requirements-view.txt`" in refusal("view")
