# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings run and give what they say."""

import doctest
import importlib

import pytest

MODULES = (
    "events.array",
    "events.binning",
    "geometry.cameras",
    "geometry.image",
    "geometry.triangulation",
    "metrics.errors",
    "metrics.reliability",
    "networks.heatmaps",
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str) -> None:
    module = importlib.import_module(f"hybrid_pose_ros.{name}")
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0, f"run `python -m doctest -v` on {module.__file__}"
