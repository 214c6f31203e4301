# SPDX-License-Identifier: Apache-2.0
"""Publishes a node's reports on /diagnostics, and answers with the last one."""

import json
from collections.abc import Callable
from typing import Final

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.duration import Duration
from rclpy.node import Node

from hybrid_pose_ros.interfaces.qos import profile
from hybrid_pose_ros.interfaces.topics import DIAGNOSTICS
from hybrid_pose_ros.nodes.support.health import Report

FINAL_S: Final = 0.5
"""Longest time to wait for subscribers to have taken what was published last."""


class Reporter:
    """Publishes a node's reports.

    Args:
        make_report: returns the report on the time since its last call.
        state: returns the name of the node's lifecycle state.
    """

    def __init__(
        self, node: Node, make_report: Callable[[], Report], state: Callable[[], str]
    ) -> None:
        self._node, self._make_report, self._state = node, make_report, state
        self._latest: Report | None = None
        self._publisher = node.create_publisher(
            DiagnosticArray, DIAGNOSTICS.name, profile(DIAGNOSTICS.offered)
        )

    def publish(self) -> None:
        """Publish a new report."""
        self._latest = report = self._make_report()
        status = DiagnosticStatus(
            level=bytes([report.level]),
            name=f"{self._node.get_fully_qualified_name()}: hybrid_pose_ros",
            message=report.message,
            hardware_id=self._node.get_namespace(),
            values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def publish_last(self) -> None:
        """Publish a last time, and wait until it has arrived."""
        self.publish()
        self._publisher.wait_for_all_acked(Duration(seconds=FINAL_S))

    def statistics(self) -> str:
        """Return the report as JSON: the one published last, for rates are counted between two."""
        report = self._latest or self._make_report()
        figures = {
            "state": self._state(),
            "level": report.level.name,
            "message": report.message,
            "values": report.values,
        }
        return json.dumps(figures)
