# SPDX-License-Identifier: Apache-2.0
"""The RViz files show topics that the nodes publish, with types that the displays take."""

from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG = Path(__file__).parents[2] / "config"

IMAGE, MARKERS, CLOUD = (
    f"rviz_default_plugins/{name}" for name in ("Image", "MarkerArray", "PointCloud2")
)


def topics(name: str) -> dict[str, str]:
    """Topic -> class of its display."""
    content: Any = yaml.safe_load((CONFIG / name).read_text())["Visualization Manager"]
    displays = [display for display in content["Displays"] if "Topic" in display]
    for display in displays:
        # What the visualizer offers.
        assert display["Topic"]["Reliability Policy"] == "Reliable"
        assert display["Topic"]["Durability Policy"] == "Volatile"
        assert display["Enabled"] is display["Value"] is True
    return {display["Topic"]["Value"]: display["Class"] for display in displays}


def test_one_camera() -> None:
    assert topics("pose.rviz") == {"overlay": IMAGE, "markers": MARKERS, "cloud": CLOUD}


def test_several_cameras() -> None:
    overlays = {f"/cam{number}/overlay": IMAGE for number in range(4)}
    assert topics("multi_camera.rviz") == {"/markers_3d": MARKERS, **overlays}


def test_the_human_model_is_shown() -> None:
    content: Any = yaml.safe_load((CONFIG / "multi_camera.rviz").read_text())
    [model] = [
        display
        for display in content["Visualization Manager"]["Displays"]
        if display["Class"] == "rviz_default_plugins/RobotModel"
    ]
    assert model["Description Source"] == "Topic"
    topic = model["Description Topic"]
    assert topic["Value"] == "/humans/bodies/body/robot_description"
    assert topic["Durability Policy"] == "Transient Local"  # as it is offered


@pytest.mark.parametrize(("name", "frame"), [("pose", "event_camera"), ("multi_camera", "world")])
def test_fixed_frame(name: str, frame: str) -> None:
    content = yaml.safe_load((CONFIG / f"{name}.rviz").read_text())["Visualization Manager"]
    assert content["Global Options"]["Fixed Frame"] == frame
    names = [display["Name"] for display in content["Displays"]]
    assert len(set(names)) == len(names)
