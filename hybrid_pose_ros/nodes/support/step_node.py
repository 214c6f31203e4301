# SPDX-License-Identifier: Apache-2.0
"""Base of `ann` and `snn`: a model that may change, and events that become steps."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import torch

from hybrid_pose_ros.events.array import make_events
from hybrid_pose_ros.events.binning import GridView, Step
from hybrid_pose_ros.events.encodings import MalformedPacketError, encode
from hybrid_pose_ros.events.noise import NoiseFilter
from hybrid_pose_ros.events.stream import StepStream
from hybrid_pose_ros.interfaces.cdr import ReceivedHeader, read_packet, serialised_packet
from hybrid_pose_ros.interfaces.messages import Sensor
from hybrid_pose_ros.interfaces.topics import Topic
from hybrid_pose_ros.networks.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from hybrid_pose_ros.nodes.support.base import ManagedNode
from hybrid_pose_ros.nodes.support.boundary import RefusedError, StartError
from hybrid_pose_ros.nodes.support.health import Level, Report
from hybrid_pose_ros.nodes.support.packet_inbox import PacketInbox
from hybrid_pose_ros.nodes.support.packets import PACKET_TYPE, events_topic
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.nodes.support.stream_figures import StreamFigures
from hybrid_pose_ros.pipeline.step_length import StepLengthError, with_step


@dataclass(frozen=True)
class StampedStep:
    """A step and the header of the packet that completed it."""

    step: Step
    header: ReceivedHeader


class BackgroundWorker(Protocol):
    """A worker with a thread of its own."""

    @property
    def has_failed(self) -> bool:
        """Whether the thread ended by an error."""

    def close(self) -> None:
        """End the thread, after the work under way."""


W = TypeVar("W", bound=BackgroundWorker)


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
        self._events_topic: Topic
        self._stream: StepStream
        self._inbox: PacketInbox
        self._noise_filter: NoiseFilter | None
        self._beside: BackgroundWorker | None = None
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
            self._inbox.flush()

    def bin_ns(self) -> int:
        """Return the length (ns of sensor time) of the steps that :meth:`process` gets."""
        return self.checkpoint.config.step_ns

    def run_beside(self, worker: W) -> W:
        """Take charge of a worker: it ends with the activity, and the process with its failure."""
        self._beside = worker
        return worker

    # Lifecycle.

    def configure(self) -> None:
        """Load the model and run it once: the first run is much slower than the following."""
        torch.set_num_threads(self.integer("threads"))
        checkpoint = self._load()
        self.adopt(self.prepare(checkpoint))
        self._use_model(checkpoint)
        self._events_topic = events_topic(self)
        self._read_once(checkpoint)

    def activate(self) -> None:
        """Listen to events, with an empty memory."""
        self._stream = StepStream(
            self.checkpoint.config.view.fit, self.bin_ns(), self._noise_filter
        )
        self._stream_figures = StreamFigures()
        self._paused = False
        self._inbox = PacketInbox(self, self._events_topic, self._serve, self.may_wait)

    def deactivate(self) -> None:
        """Let the work under way end."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def check(self) -> None:
        """End the process when the worker has broken down."""
        if self._beside is not None and self._beside.has_failed:
            self.get_logger().fatal("the worker's thread ended by an error")
            self.exit_code = 1

    def diagnose(self, report: Report) -> None:
        """Report on the stream of packets."""
        report.values |= {
            "model": f"{self.checkpoint.config.name} {self.checkpoint.digest}",
            "step ms": f"{self.checkpoint.config.step_ns / 1e6:g}",
        }
        queue = self._inbox.take_state()
        self._stream_figures.report(report, self._stream, queue, wanted=not self._paused)
        if self._paused:
            report.add(Level.WARN, "paused; ~/pause with false goes on")

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
        data = serialised_packet(
            encode("mono", make_events([0], [0], [0], True)),
            stamp_ns=0,
            frame_id="",
            width=1,
            height=1,
            seq=0,
            encoding="mono",
        )
        config = checkpoint.config
        stream = StepStream(config.view.fit, config.step_ns, config.noise_filter)
        stream.push(read_packet(data, self._events_topic.message_class))

    def _use_model(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, config = checkpoint, checkpoint.config
        step_ms = config.step_ns / 1e6
        self.about = f"model {config.name} {checkpoint.digest}, steps of {step_ms:g} ms"
        is_filtered = self.flag("noise_filter")
        self._noise_filter = config.noise_filter if is_filtered else None

    def _load(self) -> Checkpoint:
        """Read the model that the parameters name; raises StartError."""
        step_ms = self.number("step_ms")
        try:
            checkpoint = load_checkpoint(self.text("checkpoint"))
            return with_step(checkpoint, round(step_ms * 1e6)) if step_ms else checkpoint
        except (CheckpointError, StepLengthError) as error:
            raise StartError(str(error)) from error

    # Events.

    def _serve(self, packets: list[bytes], delay_ns: int) -> None:
        if self._paused or self.state != "active":
            return
        steps: list[StampedStep] = []
        for data in packets:
            steps = self._decode(data, steps)
        if not steps:
            return
        try:
            self.process(steps, delay_ns)
        except Exception:
            self._forget()  # whatever was left half done
            raise

    def _decode(self, data: bytes, steps: list[StampedStep]) -> list[StampedStep]:
        new_stream = self._stream.view is None
        try:
            packet = self._read(data)
            pushed = self._stream.push(packet)
        except MalformedPacketError as error:
            self.warn_throttled(f"malformed packet dropped: {error}")
            return steps
        self._stream_figures.count(pushed)
        if new_stream:
            assert self._stream.view is not None
            self.sensor = Sensor(packet.width, packet.height)
            self.get_logger().info(f"events come, of a sensor of {packet.width}x{packet.height}")
            self.begin(self._stream.view)
        elif pushed.restarted:
            self.warn_throttled("sensor time went back; waiting for the next initialisation")
            self.restart()
            steps = []
        return steps + [StampedStep(step, packet.header) for step in pushed.steps]

    def _read(self, data: bytes) -> Any:
        try:
            return read_packet(data, self._events_topic.message_class)
        except MalformedPacketError as error:
            self._stream.reader.refuse(str(error))
            raise
