# SPDX-License-Identifier: Apache-2.0
"""The table of faults: each with the place where it is injected and what must follow.

Whatever a fault's own consequences, this must follow after every one: poses of both cameras and
in space flow again in time, and no process has ended that was not killed on purpose.
"""

from dataclasses import dataclass
from typing import Final

from hybrid_pose_ros.research.torture import injections
from hybrid_pose_ros.research.torture.injections import YEAR_NS, Injection

SECOND_NS: Final = 10**9


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: of the fault, unique.
        place: where it is injected.
        follows: what must follow, besides what must follow after every fault.
        inject: does it; raises NotSurvivedError where what must follow does not.
        killed: processes that it kills; they are started again.
    """

    name: str
    place: str
    follows: str
    inject: Injection
    killed: tuple[str, ...] = ()


_FLOWS: Final = "poses flow again"
_DROPPED: Final = "dropped and counted; poses go on"
_ENDS: Final = "one sentence, or what can be read is played; poses of others go on"

FAULTS: Final = (
    Fault(
        "SIGKILL of ann",
        "cam0/ann",
        "poses of its camera go on meanwhile",
        injections.kill_ann("cam0/ann"),
        ("cam0/ann",),
    ),
    *(
        Fault(
            f"SIGKILL of {name.rpartition('/')[2]}",
            name,
            f"poses of {whose} go on meanwhile",
            injections.kill(name),
            (name,),
        )
        for name, whose in (
            ("cam0/snn", "the other camera"),
            ("triangulator", "both cameras"),
            ("visualizer", "both cameras"),
        )
    ),
    *(
        Fault(
            f"SIGSTOP of {name.rpartition('/')[2]} for {injections.FROZEN_S:g} s",
            name,
            _FLOWS,
            injections.freeze(name),
        )
        for name in ("cam0/snn", "cam0/ann", "triangulator", "visualizer")
    ),
    *(
        Fault(
            f"malformed messages on {topic}",
            f"/cam0/{topic}",
            _DROPPED,
            injections.send_malformed(topic),
        )
        for topic in ("events", "state_init", "pose", "camera_info")
    ),
    Fault(
        "packets of another sensor, encoding or number",
        "/cam0/events",
        _DROPPED,
        injections.send_strange_packets,
    ),
    Fault("flood of packets", "/cam0/events", _FLOWS, injections.flood_events),
    Fault(
        "flood of initialisations", "/cam0/state_init", _FLOWS, injections.flood_initialisations
    ),
    Fault("flood of poses", "/cam0/pose", _FLOWS, injections.flood_poses),
    Fault(
        "cameras ten times as fast", "both cameras", _FLOWS, injections.spoil_traffic(speed=10.0)
    ),
    Fault("sensor time back by 1 s", "both cameras", _FLOWS, injections.jump_clocks(-SECOND_NS)),
    Fault(
        "sensor time ahead by 365 days", "both cameras", _FLOWS, injections.jump_clocks(YEAR_NS)
    ),
    Fault(
        "sensor time back by 365 days", "both cameras", _FLOWS, injections.jump_clocks(-YEAR_NS)
    ),
    Fault(
        "sensor time of one camera ahead by 10 s, and back",
        "cam0",
        _FLOWS,
        injections.jump_one_clock(10 * SECOND_NS),
    ),
    Fault(
        "stamps a year old",
        "headers of both cameras",
        _FLOWS,
        injections.spoil_traffic(stamp_ns=-YEAR_NS),
    ),
    Fault(
        "stamps a year ahead",
        "headers of both cameras",
        _FLOWS,
        injections.spoil_traffic(stamp_ns=YEAR_NS),
    ),
    Fault(
        "half of the packets lost",
        "both cameras",
        _FLOWS,
        injections.spoil_traffic(lost_share=0.5),
    ),
    Fault("silence of one camera", "cam1", _FLOWS, injections.spoil_traffic(silent={1})),
    Fault(
        "silence of all cameras", "both cameras", _FLOWS, injections.spoil_traffic(silent={0, 1})
    ),
    *(
        Fault(
            f"{injections.CYCLES} times deactivate and activate of {name.rpartition('/')[2]}",
            name,
            "each transition is made under traffic",
            injections.cycle(name),
        )
        for name in ("cam0/snn", "cam0/ann", "triangulator", "visualizer")
    ),
    *(
        Fault(
            f"{injections.WHOLE_CYCLES} times cleanup and configure of {name.rpartition('/')[2]}",
            name,
            "each transition is made under traffic",
            injections.cycle_whole(name),
        )
        for name in ("cam0/snn", "cam0/ann", "triangulator")
    ),
    Fault(
        "camera_info of no camera",
        "/cam0/camera_info",
        "refused; poses in space go on",
        injections.miscalibrate,
    ),
    *(
        Fault(name, "event_driver", _ENDS, injections.play_file(write))
        for name, write in (
            ("AEDAT4 cut off in the middle", injections.cut_off_aedat4),
            ("AEDAT4 with altered bytes", injections.altered_aedat4),
            ("RAW file of random words", injections.noise_raw),
            ("pipe instead of a file", injections.pipe),
        )
    ),
    Fault(
        "full disk",
        "recorder",
        "the recorder says so and ends; poses go on",
        injections.fill_disk,
    ),
)
"""All faults, in the order in which they are injected."""
