# SPDX-License-Identifier: Apache-2.0
"""Requests of `snn` to `ann` for new states, where the parameter `auto_rate` says so."""

from collections import deque
from dataclasses import replace
from typing import Any

from hybrid_pose_ros.events.binning import GridView
from hybrid_pose_ros.interfaces.messages import init_request_message
from hybrid_pose_ros.interfaces.topics import INIT_REQUEST
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.model_parameters import auto_rate_of
from hybrid_pose_ros.pipeline.ann_demand import AnnDemand
from hybrid_pose_ros.pipeline.state import Pose


class InitRequests:
    """Follows the poses of a node and publishes a request when the ANN is needed.

    Args:
        node: has the parameters ``auto_rate`` and those of :func:`auto_rate_of`.
    """

    def __init__(self, node: ManagedNode) -> None:
        self._node = node
        self._publisher = node.publish_to(INIT_REQUEST)
        self._demand: AnnDemand | None = None
        self._taken: deque[int] = deque()  # filled in another thread

    def begin(self, step_ns: int, view: GridView) -> None:
        """Begin without a past, with this sensor."""
        self._taken.clear()
        self._demand = None
        if self._node.flag("auto_rate"):
            self._demand = AnnDemand(auto_rate_of(self._node), step_ns, view)

    def restart(self) -> None:
        """Forget all poses."""
        self._taken.clear()
        if self._demand is not None:
            self._demand.reset()

    def taken(self, sensor_time_ns: int) -> None:
        """Learn, in any thread, that an initialisation for this moment has taken effect."""
        self._taken.append(sensor_time_ns)

    def follow(self, pose: Pose, events: int, header: Any) -> None:
        """Take the next pose, of a step with so many events; ask for a state if it is time.

        Args:
            header: of the packet that completed the step.
        """
        if self._demand is None:
            self._taken.clear()
            return
        while self._taken:
            self._demand.taken(self._taken.popleft())
        bound = self._node.number("max_drift_px")
        if bound != self._demand.rate.max_drift_px:
            self._demand.rate = replace(self._demand.rate, max_drift_px=bound)
        request = self._demand.observe(pose, events)
        if request is not None:
            self._publisher.publish(init_request_message(request, header))
