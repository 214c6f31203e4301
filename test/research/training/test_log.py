# SPDX-License-Identifier: Apache-2.0
"""What a training leaves for people to read."""

import csv
from pathlib import Path

import pytest

from hybrid_pose_ros.research.training.log import RESULTS, Report, RunLog

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def test_reports_are_in_the_table_and_in_tensorboard(tmp_path: Path) -> None:
    with RunLog(tmp_path) as log:
        log.add("ann", Report(10, 0.5, 20.0, {"ann_px": 9.25}))
    with RunLog(tmp_path) as log:  # a training that goes on writes to the same table
        log.add("ann", Report(20, 0.25, 21.0, {"ann_px": 8.5}))
    rows = list(csv.DictReader((tmp_path / RESULTS).open()))
    assert [(row["update"], row["figure"], row["value"]) for row in rows] == [
        ("10", "loss", "0.5"),
        ("10", "samples_per_s", "20"),
        ("10", "ann_px", "9.25"),
        ("20", "loss", "0.25"),
        ("20", "samples_per_s", "21"),
        ("20", "ann_px", "8.5"),
    ]
    assert {row["training"] for row in rows} == {"ann"}
    events = event_accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    values = [(scalar.step, scalar.value) for scalar in events.Scalars("ann/ann_px")]
    assert values == [(10, 9.25), (20, 8.5)]
