# SPDX-License-Identifier: Apache-2.0
"""The example with tonic on the page "Your recordings" runs, on events as tonic gives them."""

import re
import types
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.simulation.source import SimulatorSource

ROOT = Path(__file__).parents[2]


class DVSGesture:
    """A data set of one recording, in tonic's form: times in us, polarity 0 or 1."""

    sensor_size = (346, 260, 2)

    def __init__(self, folder: str, *, train: bool) -> None:
        pass

    def __iter__(self):  # type: ignore[no-untyped-def]
        events = SimulatorSource("walking", 0.3, seed=1).read()
        assert events is not None
        form = [("x", np.int16), ("y", np.int16), ("p", bool), ("t", np.int64)]
        ours = np.empty(len(events), form)
        ours["x"], ours["y"], ours["p"] = events["x"], events["y"], events["polarity"]
        ours["t"] = events["t"] // 1000
        yield ours, 3


def test_poses_of_a_data_set_of_tonic(monkeypatch: pytest.MonkeyPatch) -> None:
    tonic = types.ModuleType("tonic")
    tonic.datasets = types.SimpleNamespace(DVSGesture=DVSGesture)  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "tonic", tonic)
    text = (ROOT / "docs" / "your_recordings.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (block,) = [code for code in blocks if "tonic" in code]
    assert len([line for line in block.splitlines() if line]) <= 10
    found: dict[str, object] = {}
    exec(compile(block, "docs/your_recordings.md", "exec"), found)
    assert len(found["poses"]) == 9  # of the first 100 ms, the last step of which is open
