# SPDX-License-Identifier: Apache-2.0
"""A node that dies is started again, later and later; the others go on meanwhile."""

import signal
from pathlib import Path

import pytest

from hybrid_pose_ros.cli import run as cli_run
from hybrid_pose_ros.graph import processes, respawn
from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.processes import Supervisor
from hybrid_pose_ros.graph.respawn import BackOff
from hybrid_pose_ros.graph.specs import NodeSpec

ROOT = Path(__file__).parents[2]


def test_deaths_that_follow_each_other_are_answered_later_and_later() -> None:
    back_off = BackOff()
    delays = [back_off.delay_s(-signal.SIGKILL, 5.0) for _ in range(7)]
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert back_off.delay_s(-signal.SIGSEGV, respawn.STABLE_S) == 1.0


@pytest.mark.parametrize(
    ("code", "lived_s", "again"),
    [
        (0, 100.0, False),  # told to end
        (1, 5.0, False),  # cannot start
        (2, 5.0, False),
        (1, 100.0, True),
        (-signal.SIGKILL, 0.1, True),
        (3, 0.1, True),
    ],
)
def test_what_a_first_end_leads_to(code: int, lived_s: float, again: bool) -> None:
    assert (BackOff().delay_s(code, lived_s) is not None) == again


def test_a_node_that_has_died_before_may_fail_to_start() -> None:
    back_off = BackOff()
    assert back_off.delay_s(-signal.SIGKILL, 100.0) == 1.0
    assert back_off.delay_s(1, 5.0) == 2.0


def test_which_nodes_are_respawned() -> None:
    for arguments, expected in (
        ({}, {"snn", "ann", "visualizer"}),
        ({"respawn": "false"}, set()),
        ({"cameras": "a,b"}, {"snn", "ann"}),
    ):
        specs = pose_graph(arguments, ROOT)
        assert {spec.name for spec in specs if spec.respawn} == expected


DIES_TWICE = """
import os, pathlib, signal, time
deaths = pathlib.Path({deaths!r})
with deaths.open("a") as file: file.write("x")
if len(deaths.read_text()) < 3: os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path({lives!r}).touch()
time.sleep(60)
"""

ENDS_WHEN_IT_LIVES = """
import pathlib, time
deadline = time.monotonic() + 60
while time.monotonic() < deadline and not pathlib.Path({lives!r}).exists(): time.sleep(0.01)
"""


def test_a_required_node_that_dies_is_started_again_and_the_graph_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(respawn, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(processes, "STOP_TIMEOUT_S", 0.5)
    library, lives = tmp_path / "lib" / "hybrid_pose_ros", tmp_path / "lives"
    library.mkdir(parents=True)
    paths = {"deaths": str(tmp_path / "deaths"), "lives": str(lives)}
    (library / "snn").write_text(DIES_TWICE.format(**paths))
    (library / "event_driver").write_text(ENDS_WHEN_IT_LIVES.format(**paths))
    specs = [
        NodeSpec("snn", "snn", "", (), {}, True, respawn=True),
        NodeSpec("event_driver", "event_driver", "", (), {}, True),
    ]
    with Supervisor(specs, tmp_path) as supervisor:
        assert cli_run.watch(supervisor) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"hybrid-pose run: snn was killed by signal 9; it is started again in {delay} s "
        "(respawn: false turns this off)"
        for delay in ("0.05", "0.1")
    ]
    assert lives.exists()
