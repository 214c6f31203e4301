# SPDX-License-Identifier: Apache-2.0
"""Life, parameters and diagnostics that all nodes share."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile

from hybrid_pose_ros.graph.arguments import SOURCES
from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import POSE
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.nodes.ann import AnnNode
from hybrid_pose_ros.nodes.event_driver import EventDriverNode
from hybrid_pose_ros.nodes.snn import SnnNode
from hybrid_pose_ros.nodes.support import boundary
from hybrid_pose_ros.nodes.support.base import AUTOSTART, ManagedNode
from hybrid_pose_ros.nodes.support.boundary import Boundary, StartError
from hybrid_pose_ros.nodes.support.node_classes import NODES as EXECUTABLES
from hybrid_pose_ros.nodes.support.node_classes import node_class
from hybrid_pose_ros.nodes.visualizer import VisualizerNode


def state(node: Any) -> str:
    return str(node._state_machine.current_state[1])


def test_autostart(bench: Any, checkpoint: Path) -> None:
    assert state(bench.run(SnnNode, checkpoint=str(checkpoint))) == "active"


def test_a_lifecycle_manager_does_what_autostart_does(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint), autostart=False)
    assert state(node) == "unconfigured"
    client = bench.probe.create_client(ChangeState, "snn/change_state")
    bench.until(client.service_is_ready)

    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        future = client.call_async(request)
        bench.until(future.done)
        return bool(future.result().success)

    # twice round: nothing is left behind
    for _ in range(2):
        assert change(Transition.TRANSITION_CONFIGURE)
        assert state(node) == "inactive"
        assert change(Transition.TRANSITION_ACTIVATE)
        bench.until(lambda: bench.probe.count_subscribers("events") == 1)
        assert change(Transition.TRANSITION_DEACTIVATE)
        bench.until(lambda: bench.probe.count_subscribers("events") == 0)
        assert change(Transition.TRANSITION_CLEANUP)
        assert state(node) == "unconfigured"
    assert change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert node.exit_code == 0


def test_what_is_missing_is_named(bench: Any) -> None:
    node = bench.run(SnnNode, start=False, checkpoint="/no/such/file")
    with pytest.raises(StartError, match="/no/such/file"):
        node.start()
    assert state(node) == "unconfigured"
    node = bench.run(AnnNode, start=False, packet_type="event_camera_msgs", checkpoint="/none")
    with pytest.raises(StartError, match="/none"):
        node.start()


@pytest.mark.parametrize(
    ("node_type", "name", "value"),
    [
        (SnnNode, "max_delay_ms", -1.0),
        (SnnNode, "error_age_ms", float("nan")),
        (SnnNode, "init_policy", "sometimes"),
        (SnnNode, "threads", 0),
        (AnnNode, "rate_hz", 1e9),
        (AnnNode, "packet_type", "dvs_msgs"),
        (EventDriverNode, "source", "crystal ball"),
        (EventDriverNode, "encoding", "morse"),
        (EventDriverNode, "port", 70_000),
        (VisualizerNode, "min_confidence", 2.0),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(
    bench: Any, node_type: type, name: str, value: Any
) -> None:
    with pytest.raises(InvalidParameterValueException, match=name):
        bench.run(node_type, start=False, **{name: value})


def test_a_value_of_another_type_is_refused(bench: Any) -> None:
    with pytest.raises(InvalidParameterTypeException, match="threads"):
        bench.run(SnnNode, start=False, threads="many")


UNIT = re.compile(
    r"\b(Hz|ms|us|s|m|px|pixels|m/s|ratio|share|speed|number|threads|steps|points|port"
    r"|subscribers|events|packets|bytes|per second)\b"
)


@pytest.mark.parametrize("name", EXECUTABLES)
def test_parameters_are_described_and_limited(bench: Any, name: str) -> None:
    node = bench.run(node_class(name), start=False)
    for spec in (AUTOSTART, *node.PARAMETERS):
        descriptor = node.describe_parameter(spec.name)
        assert len(descriptor.description) > 10, spec.name
        if isinstance(spec.default, bool | str | list):
            if spec.choices:
                assert all(choice in descriptor.additional_constraints for choice in spec.choices)
            continue
        assert UNIT.search(descriptor.description), f"{spec.name}: no unit in the description"
        [limits] = [*descriptor.floating_point_range, *descriptor.integer_range]
        assert limits.from_value <= spec.default <= limits.to_value


def test_parameter_files_hold_the_defaults_of_the_nodes() -> None:
    config = Path(__file__).parents[2] / "config"
    for section, content in yaml.safe_load((config / "nodes.yaml").read_text()).items():
        node = node_class(section.removeprefix("/**/"))
        defaults = {spec.name: spec.default for spec in node.PARAMETERS}
        values = content["ros__parameters"]
        assert {name: defaults[name] for name in values} == values, section
    for source in SOURCES:
        for section, content in yaml.safe_load((config / f"{source}.yaml").read_text()).items():
            node = node_class(section.removeprefix("/**/"))
            known = {spec.name: spec for spec in node.PARAMETERS}
            for name, value in content["ros__parameters"].items():
                assert isinstance(value, type(known[name].default)), f"{source}.yaml: {name}"


@pytest.mark.parametrize(
    ("node_type", "topics"),
    [
        (SnnNode, {"events", "init_request", "state_init", "pose"}),
        (AnnNode, {"events", "init_request", "state_init"}),
        (VisualizerNode, {"events", "pose", "overlay", "markers", "cloud"}),
        (EventDriverNode, {"events", "camera_info"}),
    ],
)
def test_every_name_follows_namespace_and_remapping(
    bench: Any, node_type: type, topics: set[str]
) -> None:
    arguments = ["--ros-args", "-r", "__ns:=/lab/cam1", "-r", "__node:=me", "-r", "events:=/raw"]
    node = node_type(cli_args=arguments, use_global_arguments=False)
    bench.nodes.append(node)
    bench.executor.add_node(node)
    node.start()
    assert node.get_fully_qualified_name() == "/lab/cam1/me"
    ours = {topic for topic in topics if topic != "events"}
    wanted = {"/raw", "/diagnostics", *(f"/lab/cam1/{topic}" for topic in ours)}
    names = {publisher.topic_name for publisher in node.publishers}
    names |= {subscription.topic_name for subscription in node.subscriptions}
    own = {name for name in names if name.startswith("/lab/cam1/me/")}
    assert names - own - {"/parameter_events", "/rosout"} == wanted
    for service in node.services:
        assert service.service_name.startswith("/lab/cam1/me/")
    assert "/lab/cam1/me/statistics" in {service.service_name for service in node.services}


def test_parameters_that_would_be_ignored_cannot_be_set(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    [refused] = node.set_parameters([Parameter("init_policy", value="immediate")])
    assert not refused.successful
    assert "clean the node up" in refused.reason
    [live] = node.set_parameters([Parameter("max_delay_ms", value=70.0)])
    assert live.successful
    node.trigger_deactivate()
    node.trigger_cleanup()
    [allowed] = node.set_parameters([Parameter("init_policy", value="immediate")])
    assert allowed.successful
    [refused] = node.set_parameters([Parameter("autostart", value=False)])
    assert "read-only" in refused.reason


def test_diagnostics_come_in_every_state(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint), autostart=False)
    arrays = bench.collect(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    bench.until(lambda: arrays)
    [status] = arrays[0].status
    assert (status.name, status.level) == ("/snn: hybrid_pose_ros", b"\x01")
    assert status.message == "unconfigured, not active"
    node.trigger_configure()
    node.trigger_activate()
    arrays.clear()
    bench.until(lambda: arrays)
    [status] = arrays[0].status
    assert "no packets" in status.message
    assert {value.key for value in status.values} >= {"poses per second", "packets lost"}


class ReluctantNode(ManagedNode):
    """Fails where a test says so."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("reluctant", **kwargs)
        self.reasons: dict[str, str] = {}

    def configure(self) -> None:
        self._try("configure")

    def activate(self) -> None:
        self._try("activate")

    def _try(self, transition: str) -> None:
        if reason := self.reasons.get(transition):
            raise StartError(reason)

    def said(self) -> tuple[str, str]:
        """Level and message of the diagnostics."""
        report = self.report()
        return report.level.name, report.message


def test_a_failure_is_an_error_until_its_state_is_left(bench: Any) -> None:
    node = bench.run(ReluctantNode, start=False)
    node.reasons = {"configure": "no such checkpoint", "activate": "no such camera"}
    assert node.said() == ("WARN", "unconfigured, not active")
    node.trigger_configure()
    assert node.said() == ("ERROR", "no such checkpoint")
    del node.reasons["configure"]
    node.trigger_configure()
    assert node.said() == ("WARN", "inactive, not active")
    node.trigger_activate()
    assert node.said() == ("ERROR", "no such camera")
    node.trigger_cleanup()
    assert node.said() == ("WARN", "unconfigured, not active")
    node.trigger_configure()
    node.trigger_activate()
    assert node.said() == ("ERROR", "no such camera")
    del node.reasons["activate"]
    node.trigger_activate()
    assert node.said() == ("OK", "ok")
    node.trigger_deactivate()
    assert node.said() == ("WARN", "inactive, not active")


def test_a_failure_does_not_outlive_a_shutdown(bench: Any) -> None:
    node = bench.run(ReluctantNode, start=False)
    node.reasons = {"configure": "no such checkpoint"}
    node.trigger_configure()
    node.trigger_shutdown()
    assert node.said() == ("WARN", "finalized, not active")


def test_an_inactive_node_publishes_nothing(bench: Any, checkpoint: Path) -> None:
    node = bench.run(SnnNode, checkpoint=str(checkpoint))
    node.trigger_deactivate()
    poses = bench.collect(PoseKeypoints, "pose", profile(POSE.offered))
    node._publisher.publish(PoseKeypoints())
    node.trigger_activate()
    node._publisher.publish(PoseKeypoints(sensor_time=1))
    bench.until(lambda: poses)
    assert [pose.sensor_time for pose in poses] == [1]


def test_log_lines_are_throttled_for_each_trouble(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = bench.run(VisualizerNode, start=False)
    lines: list[str] = []
    node.boundary = Boundary(SimpleNamespace(warning=lines.append))
    for turn in range(3):
        node.warn_throttled(f"packet {turn} dropped")
        node.warn_throttled(f"pose {turn} dropped")
    assert lines == ["packet 0 dropped", "pose 0 dropped"]
    monkeypatch.setattr(boundary, "LOG_PERIOD_S", 0.0)
    node.boundary = Boundary(SimpleNamespace(warning=lines.append))
    for turn in range(2):
        node.warn_throttled(f"packet {turn} dropped")
    assert lines[2:] == ["packet 0 dropped", "packet 1 dropped"]


def test_log_lines_are_throttled_for_each_topic(bench: Any) -> None:
    node = bench.run(VisualizerNode, start=False)
    lines: list[str] = []
    node.boundary = Boundary(SimpleNamespace(warning=lines.append))
    for turn in range(3):
        for topic in ("cam0/pose", "cam1/pose"):
            node.warn_throttled(f"{topic} {turn} dropped", topic)
    assert lines == ["cam0/pose 0 dropped", "cam1/pose 0 dropped"]
