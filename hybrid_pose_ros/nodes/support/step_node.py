# SPDX-License-Identifier: Apache-2.0
"""What `ann` and `snn` share: a model that may change, and events that become steps."""

import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from rclpy.serialization import serialize_message
from rclpy.subscription import Subscription
from std_msgs.msg import Header

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.events.encodings import MalformedPacketError, encode
from hybrid_pose_ros.events.noise import NoiseFilter
from hybrid_pose_ros.events.stream import StepStream
from hybrid_pose_ros.interfaces.messages import EVENTS_QOS, Sensor, event_packet_message
from hybrid_pose_ros.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from hybrid_pose_ros.nodes.support.base import ManagedNode, RefusedError, StartError
from hybrid_pose_ros.nodes.support.health import Level, Meter, Report
from hybrid_pose_ros.nodes.support.packets import (
    PACKET_TYPE,
    ReceivedHeader,
    chosen_packet_type,
    read_packet,
)
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.pipeline.step_length import StepLengthError, with_step


@dataclass(frozen=True)
class StampedStep:
    """A step and the header of the packet that completed it."""

    step: Step
    header: ReceivedHeader


class StepNode(ManagedNode):
    """A node that runs a model on the steps of an event stream.

    Subclasses implement :meth:`prepare`, :meth:`adopt`, :meth:`begin`, :meth:`restart` and
    :meth:`process`. The services are served between two packets, so a step is run wholly before
    or wholly after what they change.

    Attributes:
        checkpoint: the model, from :meth:`configure` on; for steps of the length ``step_ms``.
        sensor: size of the sensor, from :meth:`begin` on.
    """

    PARAMETERS: ClassVar[tuple[ParameterSpec, ...]] = (
        ParameterSpec(
            "checkpoint",
            "",
            "path of the model's safetensors file; empty: the shipped edge model",
            reloads=True,
        ),
        ParameterSpec(
            "step_ms",
            0.0,
            "length of a step (ms of sensor time), of which the model's own must be a whole "
            "multiple; 0: the model's own; the same for ann and snn",
            limits=(0.0, 1000.0),
            reloads=True,
        ),
        ParameterSpec(
            "noise_filter",
            True,
            "keep background activity away from the model as it was when the model was trained; "
            "false: every event counts; the same for ann and snn",
            reloads=True,
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
        self._noise_filter: NoiseFilter | None
        self._paused = False
        self.offer_switch("pause", self._pause)
        self.offer("reset", self._reset)
        self.offer("reload", self._reload)

    # What a subclass implements.

    def prepare(self, checkpoint: Checkpoint) -> Any:
        """Build what runs a model, and run it once; nothing is changed yet.

        Raises:
            StartError: a parameter does not fit the model.
        """
        raise NotImplementedError

    def adopt(self, estimator: Any) -> None:
        """Go on with what :meth:`prepare` returned, without a past."""
        raise NotImplementedError

    def begin(self, view: GridView) -> None:
        """The first good packet told the size of the sensor."""
        raise NotImplementedError

    def restart(self) -> None:
        """Forget everything derived from earlier steps: what comes has nothing to do with it."""
        raise NotImplementedError

    def process(self, steps: list[StampedStep], delay_ns: int) -> None:
        """Use completed steps; the packet of the first has waited ``delay_ns`` in our queue."""
        raise NotImplementedError

    def may_wait(self, waiting: list[bytes]) -> bool:
        """Say whether packets, the last of which just came, may be decoded with later ones."""
        return False

    def serve_waiting(self) -> None:
        """Decode what :meth:`may_wait` has let wait."""
        if self.state == "active":
            self._serve()

    def bin_ns(self) -> int:
        """Return the length (ns of sensor time) of the steps that :meth:`process` gets."""
        return self.checkpoint.config.step_ns

    # Managed life.

    def configure(self) -> None:
        """Load the model and run it once: the first run is much slower than the following."""
        torch.set_num_threads(self.integer("threads"))
        checkpoint = self._load()
        self.adopt(self.prepare(checkpoint))
        self._use_model(checkpoint)
        self._packet_type = chosen_packet_type(self)
        self._read_once(checkpoint)

    def activate(self) -> None:
        """Listen to events, with an empty memory."""
        self._stream = StepStream(
            self.checkpoint.config.view.fit, self.bin_ns(), self._noise_filter
        )
        self._packets = Meter()
        self._events = Meter()
        self._binned = Meter()
        self._noise = Meter()
        self._malformed_reported = 0
        self._paused = False
        self._waiting: list[bytes] = []
        self._is_ordered = False  # to serve them
        self._waiting_since_ns = 0
        self._subscription = self.listen_to(
            self._packet_type, "events", self._on_packet, EVENTS_QOS, raw=True
        )

    def diagnose(self, report: Report) -> None:
        """Report on the stream of packets."""
        packets, packet_rate = self._packets.take()
        _, event_rate = self._events.take()
        (noise, _), (binned, _) = self._noise.take(), self._binned.take()
        reader = self._stream.reader
        report.values |= {
            "model": f"{self.checkpoint.config.name} {self.checkpoint.digest}",
            "step ms": f"{self.checkpoint.config.step_ns / 1e6:g}",
            "packets per second": f"{packet_rate:.1f}",
            "events per second": f"{event_rate:.0f}",
            "packets received": str(self._packets.total),
            "events received": str(self._events.total),
            "share filtered out as noise": f"{noise / max(1, binned):.3f}",
            "packets lost": str(reader.lost),
            "packets malformed": str(reader.malformed),
            "sensor time restarts": str(self._stream.restarts),
        }
        if self._paused:
            report.add(Level.WARN, "paused; ~/pause with false goes on")
        elif not packets:
            report.add(Level.WARN, "no packets on `events`")
        if reader.malformed > self._malformed_reported:
            new = reader.malformed - self._malformed_reported
            report.add(
                Level.WARN,
                f"{new} malformed packets dropped, the last: {reader.malformed_reason}",
            )
            self._malformed_reported = reader.malformed

    # Services.

    def _pause(self, wanted: bool) -> str:
        self.require_active()
        if wanted == self._paused:
            return "paused already" if wanted else "not paused"
        self.serve_waiting()
        self._paused = wanted
        if wanted:
            return "paused: packets are dropped until ~/pause with false"
        self._stream.resume()
        self._forget()
        return "goes on, without a past"

    def _reset(self) -> str:
        self.require_active()
        self.serve_waiting()
        self._forget()
        return "reset: goes on without a past"

    def _forget(self) -> None:
        if self._stream.view is not None:
            self.restart()

    def _reload(self) -> str:
        if self.state not in ("active", "inactive"):
            raise RefusedError(f"the node is {self.state}; the model is loaded with configure")
        checkpoint = self._load()
        estimator = self.prepare(checkpoint)
        self.serve_waiting()
        self._use_model(checkpoint)
        self.adopt(estimator)
        config = checkpoint.config
        if self.state == "active":
            self._stream.rebin(config.view.fit, self.bin_ns(), self._noise_filter)
            if self._stream.view is not None:
                self.begin(self._stream.view)
        return f"{config.name} {checkpoint.digest}, steps of {config.step_ns / 1e6:g} ms"

    def _read_once(self, checkpoint: Checkpoint) -> None:
        """Read a packet, so that what that needs is compiled before the first one comes."""
        packet = event_packet_message(
            encode("mono", make_events([0], [0], [0], True)),
            encoding="mono",
            width=1,
            height=1,
            seq=0,
            header=Header(),
        )
        config = checkpoint.config
        stream = StepStream(config.view.fit, config.step_ns, config.noise_filter)
        stream.push(read_packet(serialize_message(packet), type(packet)))

    def _use_model(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        is_filtered = self.flag("noise_filter")
        self._noise_filter = checkpoint.config.noise_filter if is_filtered else None

    def _load(self) -> Checkpoint:
        """Read the model that the parameters name; raises StartError."""
        step_ms = self.number("step_ms")
        try:
            checkpoint = load_checkpoint(self.text("checkpoint"))
            return with_step(checkpoint, round(step_ms * 1e6)) if step_ms else checkpoint
        except (CheckpointError, StepLengthError) as error:
            raise StartError(str(error)) from error

    # Events.

    def _on_packet(self, first: bytes) -> None:
        """Take all that is in the queue, so that its age is known and one call serves it.

        If there is more than one, they are served after what else has come until now. Otherwise,
        when packets come faster than they are served, the executor would be kept busy by those
        that came meanwhile, and all other messages, timers and services would wait behind them,
        longer and longer.
        """
        waiting = self._waiting
        waiting.append(first)
        handle = self._subscription.handle
        with handle:
            while taken := handle.take_message(self._packet_type, True):
                if not self._waiting_since_ns:
                    # The executor does not tell when `first` came; the next one came soon after.
                    self._waiting_since_ns = taken[1]["received_timestamp"]
                waiting.append(taken[0])
        if self._is_ordered or self.may_wait(waiting):
            return
        if len(waiting) == 1:
            self._serve()
        else:
            assert self.executor is not None
            self._is_ordered = True
            self.executor.create_task(self._serve)

    def _serve(self) -> None:
        self._is_ordered = False
        packets, self._waiting = self._waiting, []
        since_ns, self._waiting_since_ns = self._waiting_since_ns, 0
        if self._paused or self.state != "active":
            return
        delay_ns = time.time_ns() - since_ns if since_ns else 0
        steps: list[StampedStep] = []
        for data in packets:
            steps = self._decode(data, steps)
        if steps:
            self.process(steps, delay_ns)

    def _decode(self, data: bytes, steps: list[StampedStep]) -> list[StampedStep]:
        new_stream = self._stream.view is None
        try:
            packet = self._read(data)
            pushed = self._stream.push(packet)
        except MalformedPacketError as error:
            self.complain(f"malformed packet dropped: {error}")
            return steps
        self._packets.add()
        self._events.add(pushed.events)
        self._binned.add(sum(step.events for step in pushed.steps))
        self._noise.add(sum(step.dropped for step in pushed.steps))
        if new_stream:
            assert self._stream.view is not None
            self.sensor = Sensor(packet.width, packet.height)
            self.begin(self._stream.view)
        elif pushed.restarted:
            self.complain("sensor time went back; waiting for the next initialisation")
            self.restart()
            steps = []
        return steps + [StampedStep(step, packet.header) for step in pushed.steps]

    def _read(self, data: bytes) -> Any:
        try:
            return read_packet(data, self._packet_type)
        except MalformedPacketError as error:
            self._stream.reader.refuse(str(error))
            raise
