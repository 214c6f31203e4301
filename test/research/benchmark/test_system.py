# SPDX-License-Identifier: Apache-2.0
"""The running system in little, and the arithmetic on what it said."""

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message

from hybrid_pose_ros.events.aedat4 import write_aedat4
from hybrid_pose_ros.installation import find_prefix, share_directory
from hybrid_pose_ros.interfaces.messages import stamp_from_ns
from hybrid_pose_ros.msg import PoseKeypoints
from hybrid_pose_ros.research.benchmark.process_usage import Usage
from hybrid_pose_ros.research.benchmark.statistics import BenchError
from hybrid_pose_ros.research.benchmark.streams import Stream, repeat
from hybrid_pose_ros.research.benchmark.system import (
    Heard,
    Run,
    figures_of,
    graph_of,
    memory_of,
    run_system,
)

SHARE = share_directory(find_prefix())
STEP_NS = 2_000_000
START_NS = 1_700_000_000 * 10**9


def pose(step: int, delay_ns: int) -> tuple[int, bytes]:
    """Return a pose of a step that was published when it ended and came ``delay_ns`` later."""
    stamp_ns = START_NS + step * STEP_NS
    message = PoseKeypoints(sensor_time=step * STEP_NS)
    message.header.stamp = stamp_from_ns(stamp_ns)
    return stamp_ns + delay_ns, serialize_message(message)


def report(node: str, **values: int) -> tuple[int, bytes]:
    """Return what a node says of itself."""
    items = [KeyValue(key=key.replace("_", " "), value=str(n)) for key, n in values.items()]
    status = DiagnosticStatus(name=f"/bench/{node}: hybrid_pose_ros", values=items)
    return START_NS, serialize_message(DiagnosticArray(status=[status]))


def heard(steps: list[int]) -> Heard:
    """Return a run of poses of these steps, that came after step * 1 us."""
    return Heard(
        poses=[pose(step, step * 1000) for step in steps],
        reports=[
            report("event_driver", packets_published=1, events_published=1),
            report("event_driver", packets_published=2000, events_published=50_000),
            report(
                "snn",
                packets_received=1997,
                steps_merged=4,
                initialisations_accepted=39,
                initialisations_refused=1,
            ),
            report("ann", inferences_skipped=2),
        ],
        samples=[
            (count, {"snn": Usage(cpu_s, memory_mb)})
            for count, cpu_s, memory_mb in (
                (10, 1.0, 100.0),
                (510, 1.5, 110.0),
                (1010, 2.0, 111.0),
                (1510, 2.5, 112.0),
                (1510, 2.9, 113.0),
            )
        ],
    )


RUN = Run(Path("walk.aedat4"), 500, None, settle_s=1.0)


def test_figures_are_those_of_what_came() -> None:
    # of 1,501 steps 10 have no pose, of which 4 were merged
    steps = [step for step in range(1501) if step not in range(700, 710)]
    figures = figures_of(RUN, heard(steps), SHARE)
    assert figures["published"] == 2000
    assert figures["packets_lost"] == 3
    assert figures["poses_lost"] == 6
    assert figures["lost"] == 9
    assert figures["merged"] == 4
    assert figures["poses"] == 1491
    # those of the first second are left out
    measured = [step for step in steps if step >= 500]
    assert figures["poses_measured"] == len(measured)
    assert figures["p50_ms"] == pytest.approx(measured[len(measured) // 2] * 1e-3, abs=1e-3)
    assert figures["p999_ms"] == pytest.approx(1.499, abs=1e-3)
    # from the sample after a second to the last one with new poses
    assert figures["cpu_ms_per_pose"] == {"snn": pytest.approx(1.0)}


def test_a_recording_that_starts_over_loses_nothing() -> None:
    run = heard([*range(300), *range(300)])
    assert figures_of(RUN, run, SHARE)["poses_lost"] == 0


def test_memory_is_that_after_settling_and_at_the_end() -> None:
    assert memory_of(RUN, heard([0])) == {"snn": {"first_mb": 110.0, "last_mb": 113.0}}


def test_the_graph_has_steps_of_the_rate(tmp_path: Path) -> None:
    recording = tmp_path / "walk.aedat4"
    recording.touch()
    specs = graph_of(Run(recording, 500, None, 1.0), SHARE)
    assert [spec.name for spec in specs] == ["snn", "ann", "event_driver"]
    snn, ann, driver = (spec.parameters for spec in specs)
    assert snn["step_ms"] == ann["step_ms"] == driver["packet_ms"] == 2.0
    assert not driver["loop"]


@pytest.fixture(scope="module")
def recording(stream: Stream, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "walk.aedat4"
    write_aedat4(path, repeat(stream, 2.0), stream.width, stream.height)
    return path


def test_a_node_that_fails_is_named_with_its_log(recording: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no model")
    with pytest.raises(BenchError, match=r"(ann|snn) ended with code 1; see .*\.log"):
        run_system(Run(recording, 100, broken, 0.5), find_prefix(), tmp_path)
