# SPDX-License-Identifier: Apache-2.0
"""What chips hold, beside what the layers of the SNN need."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.networks.checkpoint import load_checkpoint
from hybrid_pose_ros.research.export.chip_fit import CHIPS, LayerFit, bits_of, layer_fits, misfits

from ...conftest import Refusal

SPECK = CHIPS[0]

SMALL = LayerFit("head", (16, 60, 64), 3, 36, targets=2, weights=576, weight_bits=8)


def test_what_exceeds_a_limit_is_named() -> None:
    assert misfits([SMALL], SPECK) == []
    large = dataclasses.replace(SMALL, name="up3", shape=(16, 65, 64), targets=3)
    assert misfits([SMALL, large], SPECK) == [
        "up3: 65 rows or columns of 64",
        "up3: 3 targets of 2",
    ]
    assert misfits([SMALL] * 10, SPECK)[0] == "10 layers of 9"
    assert misfits([SMALL] * 10, SPECK)[1] == "614,400 neurons of 328,000"


def test_needs_are_those_of_the_layers() -> None:
    model = load_checkpoint()
    fits = {fit.name: fit for fit in layer_fits(model)}
    view = model.config.view
    assert fits["head"].shape == (16, view.grid_height, view.grid_width)
    assert fits["head"].fan_in == 2 * len(model.config.snn.levels) * 3 * 3
    assert fits["down3"].targets == 3  # res1, up1, and added to the currents of res2
    assert fits["up3"].targets == 1  # the readout


@pytest.mark.parametrize(("levels", "bits"), [(1, 2), (7, 4), (127, 8)])
def test_weights_that_are_whole_multiples_need_no_more_bits(levels: int, bits: int) -> None:
    weights = np.arange(-levels, levels + 1, dtype=np.float64) * 0.3
    assert bits_of(weights) <= bits


def test_the_command_prints_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--fit"]) == 0
    output = capsys.readouterr().out
    assert "weight bits" in output
    assert all(chip.name in output for chip in CHIPS)


@pytest.mark.parametrize(("form", "package"), [("nir", "nir"), ("onnx", "onnx")])
def test_a_missing_package_is_one_sentence_with_the_remedy(
    form: str,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refusal: Refusal,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert "pip install -r requirements-export.txt" in refusal(
        "export", "--format", form, "--out", tmp_path / "model"
    )
    assert not list(tmp_path.iterdir())
