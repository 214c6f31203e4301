# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy allows each node what it does, and nothing else."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hybrid_pose_ros.graph.specs import NodeSpec
from hybrid_pose_ros.nodes.support import event_source
from hybrid_pose_ros.nodes.support.node_classes import NODES, node_class

POLICY = Path(__file__).parents[2] / "config" / "sros2.policy.xml"

OPTIONAL = {"/tf", "/detections"}
"""Topics that a parameter turns on."""

PARAMETERS: dict[str, dict[str, Any]] = {
    "triangulator": {"cameras": "cam0,cam1,cam2,cam3"},
    "evaluator": {"cameras": "cam0,cam1,cam2,cam3"},
    "event_driver": {"source": "recording", "path": "recording.raw"},
}


def allowed(node: str, group: str, verb: str) -> set[str]:
    """Return full names of what the policy allows a node at the root."""
    root = ElementTree.parse(POLICY).getroot()
    enclave = NodeSpec(node, node, "", (), {}, True).enclave
    [found] = root.findall(f"./enclaves/enclave[@path='{enclave}']/profiles/profile")
    assert found.attrib == {"ns": "/", "node": node}
    return {
        f"/{node}/{name[2:]}" if name.startswith("~/") else f"/{name.lstrip('/')}"
        for element in found.findall(f"./{group}s[@{verb}='ALLOW']/{group}")
        for name in [element.text or ""]
    }


@pytest.mark.parametrize("name", NODES)
def test_a_node_does_what_its_policy_allows(
    bench: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "skeleton_adapter":
        pytest.importorskip("hri_msgs")
    silent = SimpleNamespace(
        width=346, height=260, name="silent", live=True, read=lambda: [], close=lambda: None
    )
    monkeypatch.setattr(event_source, "open_source", lambda *_, **__: silent)
    parameters = PARAMETERS.get(name, {})
    if name in ("ann", "snn"):
        parameters = {"checkpoint": str(checkpoint)}
    bench.run(node_class(name), use_sim_time=True, **parameters)
    probe = bench.probe
    for names, group, verb in (
        (probe.get_publisher_names_and_types_by_node, "topic", "publish"),
        (probe.get_subscriber_names_and_types_by_node, "topic", "subscribe"),
        (probe.get_service_names_and_types_by_node, "service", "reply"),
        (probe.get_client_names_and_types_by_node, "service", "request"),
    ):
        expected = allowed(name, group, verb) - OPTIONAL

        def agree(names: Any = names, expected: set[str] = expected) -> bool:
            return {topic for topic, _ in names(name, "/")} == expected

        bench.until(agree, seconds=30)


def test_every_node_has_an_enclave() -> None:
    paths = [enclave.attrib["path"] for enclave in ElementTree.parse(POLICY).iter("enclave")]
    assert sorted(paths) == sorted(NodeSpec(n, n, "", (), {}, True).enclave for n in NODES)
