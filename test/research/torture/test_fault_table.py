# SPDX-License-Identifier: Apache-2.0
"""The table of faults, its figures and their page; and some faults for real."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_pose_ros.cli.main import main
from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.graph.processes import End
from hybrid_pose_ros.interfaces.cdr import init_age_ns, read_packet, stamp_ns
from hybrid_pose_ros.interfaces.messages import Sensor, header_at, pose_message, serialised
from hybrid_pose_ros.msg import EventPacket
from hybrid_pose_ros.pipeline.state import Pose
from hybrid_pose_ros.research.torture.faults import FAULTS, Fault
from hybrid_pose_ros.research.torture.injections import damage
from hybrid_pose_ros.research.torture.memory import MemoryLog
from hybrid_pose_ros.research.torture.page import write_page
from hybrid_pose_ros.research.torture.running_graph import NotSurvivedError, two_camera_graph
from hybrid_pose_ros.research.torture.torture import inject
from hybrid_pose_ros.research.torture.traffic import (
    FIRST_NS,
    PACKET_NS,
    SCENE_S,
    Traffic,
    cut_scene,
)

from ...conftest import Refusal

SLOTS = round(SCENE_S * 1e9 / PACKET_NS)


def test_every_fault_is_named_once_and_says_where_and_what_follows() -> None:
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
    assert all(fault.name and fault.place and fault.follows for fault in FAULTS)


def test_faults_are_at_nodes_and_topics_that_exist(share: Path) -> None:
    specs = two_camera_graph(share, "")
    names = {f"{spec.namespace}/{spec.name}".lstrip("/") for spec in specs}
    killed = {name for fault in FAULTS for name in fault.killed}
    assert killed == {"cam0/ann", "cam0/snn", "triangulator", "visualizer"}
    assert killed - {"visualizer"} <= names and "cam0/visualizer" in names
    assert len(names) == 6


def test_every_topic_that_a_node_subscribes_gets_malformed_messages() -> None:
    places = {fault.place for fault in FAULTS if fault.name.startswith("malformed")}
    assert places == {f"/cam0/{name}" for name in ("events", "state_init", "pose", "camera_info")}


def test_damaged_messages_are_all_different_and_none_is_whole() -> None:
    rng = np.random.default_rng(0)
    whole = b"\0\1\0\0" + bytes(range(200))
    found = {damage(whole, number, rng) for number in range(100)}
    assert whole not in found and len(found) > 60
    assert min(map(len, found)) >= 4


def scene() -> Any:
    index = np.arange(1000)
    return make_events(index * 1_000_000, index % 346, index % 260, index % 2 == 0)


def test_traffic_goes_on_in_sensor_time_where_the_scene_starts_over() -> None:
    assert [packet is not None for packet in cut_scene(scene())] == [True] * SLOTS
    sent: list[bytes] = []
    traffic = Traffic(["/cam0"], [scene()], lambda topic, data: sent.append(data), 1e6)
    for _ in range(SLOTS + 3):
        traffic._send(0)
        traffic._slot += 1
    packets = [read_packet(data, EventPacket) for data in sent]
    assert [packet.seq for packet in packets] == list(range(SLOTS + 3))
    times = [packet.time_base for packet in packets]
    assert times == [FIRST_NS + slot * PACKET_NS for slot in range(SLOTS + 3)]
    assert traffic.sent == [SLOTS + 3]


def test_the_knobs_of_traffic_are_turned_in_the_packets() -> None:
    sent: list[bytes] = []
    traffic = Traffic(["/cam0"], [scene()], lambda topic, data: sent.append(data), 1.0)
    traffic.knobs.clock_ns = [-7]
    packet = read_packet(traffic.packet(0, seq=9), EventPacket)
    assert (packet.seq, packet.time_base) == (9, FIRST_NS - 7)
    traffic.knobs.lost_share = 1.0
    traffic._send(0)
    assert not sent and traffic._seq == [1]  # a lost packet has had its number
    traffic.knobs.silent = frozenset({0})
    traffic._send(0)
    assert traffic._seq == [1]


def test_stamp_and_age_are_read_from_any_bytes() -> None:
    pose = Pose(1, np.ones((13, 2), np.float32), np.ones(13, np.float32), "snn", 1, 12)
    data = serialised(pose_message(pose, header_at(10**18 + 5, "cam0"), Sensor(346, 260)))
    assert (stamp_ns(data), init_age_ns(data)) == (10**18 + 5, 12)
    for size in range(16):
        assert (stamp_ns(data[:size]), init_age_ns(data[:size])) == (0, -1)


def test_growth_of_memory_is_the_slope_in_kb_per_minute() -> None:
    log = MemoryLog()
    for second in range(10):
        log.add("a", 100.0 + second, 5000 + 3 * second)
        if second < 3:
            log.add("b", 100.0 + second, 5000)
    assert log.growth() == {"a": pytest.approx(180.0)}


class FakeGraph:
    """Survives or not, as the test says."""

    def __init__(self, ends: list[End], *, flows: bool = True) -> None:
        self.ends, self.flows = ends, flows

    def heal(self, killed: tuple[str, ...]) -> list[str]:
        ends, self.ends = self.ends, []
        return [end.name for end in ends if end.name not in killed]

    def await_poses(self) -> float:
        if not self.flows:
            raise NotSurvivedError("no poses")
        return 0.5


def fault(inject: Any = lambda graph: None, killed: tuple[str, ...] = ()) -> Fault:
    return Fault("a fault", "somewhere", "nothing", inject, killed)


def refuse(graph: object) -> None:
    raise NotSurvivedError("did not follow")


@pytest.mark.parametrize(
    ("fault_", "graph", "trouble"),
    [
        (fault(), FakeGraph([]), ""),
        (fault(killed=("snn",)), FakeGraph([End("snn", -signal.SIGKILL, True)]), ""),
        (fault(), FakeGraph([End("ann", -11, False)]), "ann"),
        (fault(refuse), FakeGraph([]), "did not follow"),
        (fault(), FakeGraph([], flows=False), "no poses"),
    ],
)
def test_a_fault_is_survived_if_all_follows_that_must(
    fault_: Fault, graph: Any, trouble: str
) -> None:
    outcome = inject(graph, fault_)
    assert (outcome.survived, outcome.trouble) == (not trouble, trouble)
    assert outcome.seconds == (0.5 if graph.flows else None)


def figures(**changes: Any) -> dict[str, Any]:
    outcome = {"name": FAULTS[0].name, "survived": True, "seconds": 1.25, "trouble": ""}
    return {
        "faults": [outcome],
        "messages": 12345,
        "packets_lost": 2,
        "rss_kb_per_min": {"cam0/snn": 12.4, "cam0/ann": -1e-11},
        "minutes": 3.0,
        "calm_seconds": 40.0,
        "rate": 0.5,
        "limit_s": 30.0,
        "load": 1.0,
        **changes,
    }


def test_the_page_has_every_figure() -> None:
    page = write_page(figures())
    row = f"| {FAULTS[0].name} | {FAULTS[0].place} | {FAULTS[0].follows} | yes | 1.2 |"
    assert row in page
    assert "**1 of 1 faults survived**, 12,345 messages" in page
    assert "2 packets lost in 40 s" in page and "| cam0/snn | 12 |" in page
    assert "| cam0/ann | 0 |" in page


def test_the_page_says_what_was_not_survived() -> None:
    outcome = {"name": FAULTS[1].name, "survived": False, "seconds": None, "trouble": "it died"}
    page = write_page(figures(faults=[outcome], rss_kb_per_min={}))
    assert "| **no**: it died | - |" in page and "**0 of 1 faults" in page
    assert "Not watched for long enough" in page


def test_the_command_lists_and_refuses(
    capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    assert main(["torture", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(FAULTS)
    assert main(["torture", "--list", "--only", "SIGKILL of ann"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert "no fault has this in its name" in refusal("torture", "--only", "earthquake")
    assert main(["torture", "--rate", "0"]) == 1


@pytest.mark.slow
def test_some_faults_for_real(
    tmp_path: Path, checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "figures.json", tmp_path / "page.md"
    words = ["torture", "--minutes", "0", "--rate", "0.2", "--model", str(checkpoint)]
    words += ["--only", "SIGKILL of ann", "--only", "camera_info of no camera"]
    words += [
        "--limit",
        "120",
        "--only",
        "half of the packets",
        "--json",
        str(out),
        "--page",
        str(page),
    ]
    code = main(words)
    written = json.loads(out.read_text())
    assert [(o["name"], o["survived"]) for o in written["faults"]] == [
        ("SIGKILL of ann", True),
        ("half of the packets lost", True),
        ("camera_info of no camera", True),
    ], capfd.readouterr()
    assert code == 0
    assert written["messages"] > 100 and written["rss_kb_per_min"] == {}
    assert "SIGKILL of ann" in page.read_text()
