# SPDX-License-Identifier: Apache-2.0
"""All parts in little, once, and the page of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_pose_ros.cli.bench import PARTS as OFFERED
from hybrid_pose_ros.cli.main import main, make_parser
from hybrid_pose_ros.demo.domain import free_domain_id
from hybrid_pose_ros.research.benchmark.page import write_page
from hybrid_pose_ros.research.benchmark.suite import FORMAT, PARTS, BenchPlan, run_suite

from ...conftest import Refusal

SMALL = BenchPlan(
    stream_s=0.5,
    max_steps=3,
    ann_runs=1,
    ann_ways=("torch_float32", "torch_bfloat16"),
    rounds=1,
    pose_rates_hz=(100, 200),
    rates_hz=(200,),
    system_s=1.0,
    settle_s=0.5,
    echo_s=0.5,
    scaling_s=0.1,
    rates_mev_s=(0.1, 1.0),
    overload_s=0.0,
)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All parts, as they would be read from the file."""
    said: list[str] = []
    latest: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(free_domain_id()))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        for latest in run_suite(SMALL, tmp_path_factory.mktemp("logs"), said.append):
            json.dumps(latest, allow_nan=False)
    assert len(said) == 7
    return json.loads(json.dumps(latest))


@pytest.fixture
def measured(figures: dict[str, Any], tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(figures))
    return path


def test_the_figures_have_the_keys_that_others_read(figures: dict[str, Any]) -> None:
    assert figures["format"] == FORMAT
    peers = {"spikingjelly", "snntorch", "norse"} - figures["missing"].keys()
    assert figures["step_ms"].keys() == {"engine", "torch"} | peers
    assert figures["cpu_ms_per_pose"].keys() == {"hybrid", "ann", "dhp19_cnn"}
    assert figures["ann"]["ms"].keys() == {"torch_float32", "torch_bfloat16"}
    assert figures["pose"].keys() == {"100", "200"}
    assert figures["cpu_ms_per_pose"] == figures["pose"]["100"]["cpu_ms_per_pose"]
    for name in ("system", "system_one_process"):
        assert figures[name].keys() == {"200"}
        run = figures[name]["200"]
        assert run.keys() >= {"p50_ms", "p99_ms", "p999_ms", "lost", "merged", "published"}
        assert run["echo_p99_ms"] > 0
    assert {"cpu", "versions", "load_before", "checkpoint"} <= figures["environment"].keys()


@pytest.mark.parametrize("system", ["system", "system_one_process"])
def test_every_packet_of_the_system_is_accounted_for(figures: dict[str, Any], system: str) -> None:
    run = figures[system]["200"]
    assert run["published"] == 300
    assert run["poses"] + run["merged"] + run["poses_lost"] == 299  # the last step stays open
    assert 0 < run["p50_ms"] <= run["p99_ms"] <= run["p999_ms"]
    assert run["initialisations"] > 0


def test_one_command_makes_the_page(measured: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "performance.md"
    assert main(["research", "bench", "--from", str(measured), "--page", str(page)]) == 0
    text = page.read_text()
    figures = json.loads(measured.read_text())
    assert f"```sh\n{figures['command']}\n```" in text
    assert f"| this package | {figures['step_ms']['engine']:.3f} |" in text
    assert f"| torch, bfloat16 | {figures['ann']['ms']['torch_bfloat16']:.2f} |" in text
    for system in ("system", "system_one_process"):
        assert f"| 200 Hz | {figures[system]['200']['p50_ms']:.2f} |" in text
    for name in ("step", "pose", "latency", "scaling"):
        place = f"images/performance_{name}.svg"
        assert f"]({place})" in text
        assert 1_000 < (tmp_path / place).stat().st_size < 200_000


def test_the_page_has_only_what_was_measured(figures: dict[str, Any]) -> None:
    some = {key: figures[key] for key in ("command", "environment", "missing", "stream_mev_s")}
    some |= {key: figures[key] for key in ("cpu_ms_per_pose", "pose")}
    some["missing"] = {}
    heads = [line for line in write_page(some, {}).splitlines() if line.startswith("#")]
    assert heads == ["# Performance", "## From raw events to a pose"]


def test_the_page_shows_the_long_runs(figures: dict[str, Any]) -> None:
    run = {**figures["system"]["200"], "published": 300_000}
    nodes = {"snn": {"first_mb": 310.04, "last_mb": 311.0}}
    long = {
        "soak": {"500": run},
        "memory": {"sensor_s": 3600.0, "host_s": 900.0, "poses": 360_000, "nodes": nodes},
    }
    text = write_page(figures | long, {})
    assert "300,000" in text
    assert "60 minutes of sensor time in 15 minutes" in text
    assert "| `snn` | 310.0 | 311.0 |" in text


@pytest.mark.parametrize(
    "plan",
    [BenchPlan(), BenchPlan(parts=("step", "pose"), full=True, model=Path("some.safetensors"))],
    ids=["default", "chosen"],
)
def test_the_command_that_the_page_names_is_understood(plan: BenchPlan) -> None:
    options = make_parser({"bench"}).parse_args(plan.command.split()[1:])
    assert (options.model, options.only, options.full) == (plan.model, plan.parts, plan.full)
    assert PARTS == OFFERED


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--from", "{file}"], "--from needs --page"),
        (["--from", "{file}", "--page", "p.md"], "not figures of this version"),
        (["--from", "none.json", "--page", "p.md"], "none.json: cannot be read"),
        (["--json", "{file}", "--model", "none.safetensors"], "no such checkpoint"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], complaint: str, tmp_path: Path, refusal: Refusal
) -> None:
    file = tmp_path / "old.json"
    file.write_text('{"format": "old"}')
    assert complaint in refusal("research", "bench", *(word.format(file=file) for word in words))


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["research", "bench", "--json", "b.json", "--only", "step,speed"])
    assert "'speed' is none of step, ann, pose, system, scaling" in capsys.readouterr().err
