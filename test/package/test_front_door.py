# SPDX-License-Identifier: Apache-2.0
"""What the package offers at its top is there, lazily, and has one version."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import hybrid_pose_ros

ROOT = Path(__file__).parents[2]


def test_public_names_can_be_imported_and_are_listed() -> None:
    for name in hybrid_pose_ros.__all__:
        assert getattr(hybrid_pose_ros, name).__doc__, name
        assert name in dir(hybrid_pose_ros)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = hybrid_pose_ros.Nonsense  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_manifest() -> None:
    assert hybrid_pose_ros.__version__ == ElementTree.parse(ROOT / "package.xml").findtext(
        "version"
    )


def test_neither_the_import_nor_the_version_loads_anything_heavy() -> None:
    code = (
        "import sys, hybrid_pose_ros\n"
        "hybrid_pose_ros.__version__\n"
        "print(sorted({'torch', 'numba', 'cv2', 'rclpy', 'numpy'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_poses_need_no_ros() -> None:
    code = (
        "import sys\n"
        "from hybrid_pose_ros import PoseEstimator\n"
        "print(sorted({'rclpy', 'rosbags', 'cv2', 'rich'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr
