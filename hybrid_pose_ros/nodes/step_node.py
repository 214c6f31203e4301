# SPDX-License-Identifier: Apache-2.0
"""What `ann` and `snn` share: a checkpoint, and events that become steps."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from rclpy.subscription import Subscription
from std_msgs.msg import Header

from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.events.encodings import MalformedPacketError
from hybrid_pose_ros.messages import EVENTS_QOS, Sensor
from hybrid_pose_ros.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from hybrid_pose_ros.nodes.base import ManagedNode, StartError
from hybrid_pose_ros.nodes.event_stream import StepStream
from hybrid_pose_ros.nodes.health import Level, Meter, Report
from hybrid_pose_ros.nodes.packets import PACKET_TYPE, chosen_packet_type
from hybrid_pose_ros.nodes.parameters import ParameterSpec


@dataclass(frozen=True)
class StampedStep:
    """A step and the header of the packet that completed it."""

    step: Step
    header: Header


class StepNode(ManagedNode):
    """A node that runs a model on the steps of an event stream.

    Subclasses implement :meth:`begin`, :meth:`restart` and :meth:`process`.

    Attributes:
        checkpoint: the model, from :meth:`configure` on.
        sensor: size of the sensor, from :meth:`begin` on.
    """

    PARAMETERS: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(
            "checkpoint", "", "path of the model's safetensors file; empty: the shipped edge model"
        ),
        ParameterSpec("threads", 1, "CPU threads of one tensor operation", limits=(1, 256)),
        PACKET_TYPE,
    )

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.checkpoint: Checkpoint
        self.sensor: Sensor
        self._stream: StepStream
        self._subscription: Subscription

    # What a subclass implements.

    def begin(self, view: GridView) -> None:
        """The first good packet told the size of the sensor."""
        raise NotImplementedError

    def restart(self) -> None:
        """Sensor time went back: forget everything derived from earlier steps."""
        raise NotImplementedError

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Use completed steps; the packet of the first has waited ``delay_ns`` in our queue."""
        raise NotImplementedError

    # Managed life.

    def configure(self) -> None:
        """Load the model."""
        torch.set_num_threads(self.integer("threads"))
        try:
            self.checkpoint = load_checkpoint(self.text("checkpoint"))
        except CheckpointError as error:
            raise StartError(str(error)) from error
        self._packet_type = chosen_packet_type(self)

    def activate(self) -> None:
        """Listen to events, with an empty memory."""
        config = self.checkpoint.config
        self._stream = StepStream(config.view.fit, config.step_ns)
        self._packets = Meter()
        self._events = Meter()
        self._malformed_reported = 0
        self._subscription = self.listen_to(
            self._packet_type, "events", self._on_packet, EVENTS_QOS
        )

    def diagnose(self, report: Report) -> None:
        """Report on the stream of packets."""
        packets, packet_rate = self._packets.take()
        _, event_rate = self._events.take()
        reader = self._stream.reader
        report.values |= {
            "model": f"{self.checkpoint.config.name} {self.checkpoint.digest}",
            "packets per second": f"{packet_rate:.1f}",
            "events per second": f"{event_rate:.0f}",
            "packets received": str(self._packets.total),
            "events received": str(self._events.total),
            "packets lost": str(reader.lost),
            "packets malformed": str(reader.malformed),
            "sensor time restarts": str(self._stream.restarts),
        }
        if not packets:
            report.add(Level.WARN, "no packets on `events`")
        if reader.malformed > self._malformed_reported:
            new = reader.malformed - self._malformed_reported
            report.add(
                Level.WARN,
                f"{new} malformed packets dropped, the last: {reader.malformed_reason}",
            )
            self._malformed_reported = reader.malformed

    def _on_packet(self, first: Any) -> None:
        """Take all that is in the queue, so that its age is known and one call serves it."""
        packets, delay_ns = [first], 0
        handle = self._subscription.handle
        while len(packets) < EVENTS_QOS.depth:
            with handle:
                taken = handle.take_message(self._packet_type, False)
            if taken is None:
                break
            if len(packets) == 1:
                # The executor does not tell when `first` came; the next one came soon after.
                delay_ns = time.time_ns() - taken[1]["received_timestamp"]
            packets.append(taken[0])
        steps: list[StampedStep] = []
        for packet in packets:
            steps = self._decode(packet, steps)
        if steps:
            self.process(steps, delay_ns)

    def _decode(self, packet: Any, steps: list[StampedStep]) -> list[StampedStep]:
        new_stream = self._stream.view is None
        try:
            pushed = self._stream.push(packet)
        except MalformedPacketError as error:
            self.complain(f"malformed packet dropped: {error}")
            return steps
        self._packets.add()
        self._events.add(pushed.events)
        if new_stream:
            assert self._stream.view is not None
            self.sensor = Sensor(packet.width, packet.height)
            self.begin(self._stream.view)
        elif pushed.restarted:
            self.complain("sensor time went back; waiting for the next initialisation")
            self.restart()
            steps = []
        return steps + [StampedStep(step, packet.header) for step in pushed.steps]
