# SPDX-License-Identifier: Apache-2.0
"""From packets that may be malformed, lost or out of time to steps, without ROS.

Every node that listens to events does so through one of the two classes here, so that they agree
on what is malformed and on what follows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hybrid_pose_ros.events.array import EventArray, MalformedEventsError, check_sensor
from hybrid_pose_ros.events.binning import GridView, Step, StepBinner, TimeJumpError
from hybrid_pose_ros.events.encodings import Decoder, MalformedPacketError, make_decoder
from hybrid_pose_ros.events.losses import Losses
from hybrid_pose_ros.events.noise import NoiseFilter

T = TypeVar("T")

MAX_TIME_NS = 2**62
"""A time base from here on (146 years) is taken for a malformed packet."""


MAX_LOST = 10_000_000
"""A sequence number further ahead (hours of packets) is that of another publisher, or damaged: the
count starts anew, and nothing is taken for lost."""

MAX_PAUSE_NS = 2**23 * 1000
"""After a longer pause between two packets (8.4 s by their stamps) a decoder cannot know how often
the camera's own counter of time has gone round, and is made anew."""


class Stamp(Protocol):
    """Host time: seconds, and nanoseconds after them."""

    sec: int
    nanosec: int


class PacketHeader(Protocol):
    """The field of `Header` that decoding needs."""

    stamp: Stamp


class Packet(Protocol):
    """The fields of `EventPacket` that decoding needs."""

    header: PacketHeader
    width: int
    height: int
    seq: int
    time_base: int
    encoding: str
    is_bigendian: bool
    events: "memoryview | bytes"


class PacketReader:
    """Checks and decodes packets of one camera.

    The first good packet fixes the size of the sensor. A later packet with another size is
    malformed, until :meth:`reset`: a camera does not change its resolution while it runs, but
    two cameras publishing on one topic look exactly like that.

    Attributes:
        malformed: how many packets were refused.
        malformed_reason: why the last of them was.
        lost: packets missing according to the sequence numbers.
        losses: single events of good packets that were dropped or mended.
        sensor: (width, height) in pixels, or None before the first good packet.
    """

    def __init__(self) -> None:
        self.malformed = 0
        self.malformed_reason = ""
        self.lost = 0
        self.losses = Losses()
        self.sensor: tuple[int, int] | None = None
        self._decoders: dict[str, Decoder] = {}
        self._next_seq: int | None = None
        self._stamp_ns = 0

    def read(self, packet: Packet) -> EventArray:
        """Return the events of a packet.

        Raises:
            MalformedPacketError: the packet is to be dropped; it has been counted.
        """
        self._track(packet.seq, packet.header.stamp)
        try:
            size = self._check(packet)
            decoder = self._decoders.get(packet.encoding)
            if decoder is None:
                decoder = make_decoder(
                    packet.encoding, *size, near_ns=self._stamp_ns, losses=self.losses
                )
            events = decoder.decode(packet.time_base, packet.events)
        except MalformedPacketError as error:
            self.refuse(str(error))
            raise
        self._decoders[packet.encoding] = decoder
        self.sensor = size
        return events

    def refuse(self, reason: str) -> None:
        """Count a malformed packet; a decoder that remembers packets has missed one."""
        self.malformed += 1
        self.malformed_reason = reason
        self._reset_decoders()

    def reset(self) -> None:
        """Forget the sensor, the decoders' state and the sequence; the counters stay."""
        self.sensor = None
        self._decoders.clear()
        self._next_seq = None

    def skip(self) -> None:
        """Be ready for any sequence number; the sensor and the counters stay."""
        self._decoders.clear()
        self._next_seq = None

    def _track(self, seq: int, stamp: Stamp) -> None:
        last_ns, self._stamp_ns = self._stamp_ns, stamp.sec * 10**9 + stamp.nanosec
        if self._stamp_ns - last_ns > MAX_PAUSE_NS:
            self._decoders.clear()
        expected, self._next_seq = self._next_seq, seq + 1
        if expected is None or seq == expected:
            return
        if expected < seq <= expected + MAX_LOST:
            self.lost += seq - expected
        # A decoder with memory across packets (evt3) would date events by what it missed.
        self._reset_decoders()

    def _check(self, packet: Packet) -> tuple[int, int]:
        size = (packet.width, packet.height)
        if packet.is_bigendian:
            raise MalformedPacketError("big-endian events; only little-endian ones are read")
        if packet.time_base >= MAX_TIME_NS:
            raise MalformedPacketError(f"time base {packet.time_base} ns is out of range")
        try:
            check_sensor(*size)
        except MalformedEventsError as error:
            raise MalformedPacketError(str(error)) from error
        if self.sensor is not None and size != self.sensor:
            raise MalformedPacketError(
                f"sensor size changed from {self.sensor[0]}x{self.sensor[1]} to "
                f"{size[0]}x{size[1]}; for another camera clean the node up and configure it again"
            )
        return size

    def _reset_decoders(self) -> None:
        for decoder in self._decoders.values():
            decoder.reset()


def describe_losses(damaged: int, lost: int, losses: Losses) -> str:
    """Return the losses of recorded packets in a sentence, or "".

    Args:
        damaged: packets that could not be decoded.
        lost: packets that are missing according to the sequence numbers.
        losses: single events of the others.
    """
    parts = (
        (damaged, "damaged packets are left out"),
        (lost, "packets were not recorded, their numbers say"),
    )
    counted = [f"{count:,} {what}" for count, what in parts if count]
    return "; ".join([*counted, *filter(None, [losses.describe()])])


@dataclass(frozen=True)
class Pushed:
    """Result of pushing one packet.

    Attributes:
        steps: completed steps in order.
        events: events in the packet.
        restarted: sensor time went back; whatever was derived from earlier steps is void, and
            ``steps`` belong to the new stream.
    """

    steps: list[Step]
    events: int
    restarted: bool = False


class StepStream:
    """Packets of one camera in, completed steps out.

    Args:
        fit: makes the view for a sensor of (width, height) pixels.
        step_ns: length of a step in ns of sensor time.
        noise_filter: which events are left out of the steps; None: none are.

    Attributes:
        reader: the packet checks and their counters.
        view: the view of the sensor, or None before the first good packet.
        restarts: how often sensor time went back.
    """

    def __init__(
        self,
        fit: Callable[[int, int], GridView],
        step_ns: int,
        noise_filter: NoiseFilter | None,
    ) -> None:
        self.reader = PacketReader()
        self.view: GridView | None = None
        self.restarts = 0
        self._fit = fit
        self._step_ns = step_ns
        self._noise_filter = noise_filter
        self._binner: StepBinner | None = None

    def resume(self) -> None:
        """Go on after packets that were left out on purpose: what comes is a new stream."""
        self.reader.skip()
        if self._binner is not None:
            self._binner.reset()

    def rebin(
        self,
        fit: Callable[[int, int], GridView],
        step_ns: int,
        noise_filter: NoiseFilter | None,
    ) -> None:
        """Make steps of another view, length and filter from here on; the open one is dropped."""
        self._fit, self._step_ns, self._noise_filter = fit, step_ns, noise_filter
        if self.reader.sensor is not None and self.view is not None:
            self.view = fit(*self.reader.sensor)
            self._binner = self._make_binner(self.view)

    def push(self, packet: Packet) -> Pushed:
        """Take one packet.

        Raises:
            MalformedPacketError: the packet is to be dropped; it has been counted.
        """
        events = self.reader.read(packet)
        if self._binner is None:
            self.view = self._fit(packet.width, packet.height)
            self._binner = self._make_binner(self.view)
        try:
            return Pushed(self._binner.push(events), len(events))
        except TimeJumpError:
            self.restarts += 1
            self._binner.reset()
            return Pushed(self._binner.push(events), len(events), restarted=True)

    def _make_binner(self, view: GridView) -> StepBinner:
        return StepBinner(view, self._step_ns, noise_filter=self._noise_filter)


def group_late_steps(steps: Sequence[T], delay_ns: int, max_delay_ns: int) -> list[Sequence[T]]:
    """Split steps into runs that are to be merged because the node cannot keep up.

    Up to ``max_delay_ns`` every step stands alone. Beyond, n steps become one, n being the delay
    in units of ``max_delay_ns`` rounded up: under a lasting overload the delay settles where n
    steps of sensor time take as long as one step of work, and n returns to one with the load gone.

    Args:
        delay_ns: how long the packet of the first step has waited.
    """
    size = max(1, -(-delay_ns // max_delay_ns))
    return [steps[start : start + size] for start in range(0, len(steps), size)]
