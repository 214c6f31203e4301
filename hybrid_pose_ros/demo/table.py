# SPDX-License-Identifier: Apache-2.0
"""A run as a table that is drawn anew while it goes on."""

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from rich.table import Table

from hybrid_pose_ros.demo.report import (
    Measurements,
    NodeHealth,
    ReceivedPose,
    errors_px,
    latency_ms,
    rate_hz,
)
from hybrid_pose_ros.drawing import MIN_CONFIDENCE
from hybrid_pose_ros.simulation.recording import Truth
from hybrid_pose_ros.skeleton import NUM_JOINTS

WINDOW_S = 2.0
"""The table shows the latest seconds of host time."""

_COLOURS = ("green", "yellow", "red")


def live_table(
    measured: Measurements,
    truth: Truth | None,
    *,
    title: str,
    ended: Sequence[str],
) -> Table:
    """Return the state of a run.

    Args:
        ended: names of nodes whose process is gone.
    """
    poses = _recent(measured.poses)
    table = Table(title=title, title_justify="left", show_header=False, min_width=80)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=18)
    table.add_column()
    health = {name: measured.health.get(name, NodeHealth()) for name in _ROWS}
    rates = {
        "event_driver": _rate(_recent_times(measured.packets), "packets/s"),
        "ann": _rate([init.received_ns for init in _recent(measured.inits)], "inits/s"),
        "snn": _rate([pose.received_ns for pose in poses], "poses/s"),
        "visualizer": "",
    }
    words = {
        "event_driver": _figures(health["event_driver"], ("events per second",)),
        "ann": _figures(health["ann"], ("inference ms, mean / max", "inferences skipped")),
        "snn": _figures(
            health["snn"], ("packets lost", "steps merged", "initialisations refused")
        ),
        "visualizer": _figures(health["visualizer"], ("pictures per second",)),
    }
    for name in _ROWS:
        state = health[name]
        label = f"[{_COLOURS[min(state.level, 2)]}]{name}[/]"
        text = words[name] if state.level == 0 else f"{state.message}  {words[name]}"
        if name in ended:
            label, text = f"[red]{name}[/]", "process ended"
        table.add_row(label, rates[name], text)
    table.add_section()
    table.add_row("latency", _latency(poses), "from a packet's publication to its pose's arrival")
    table.add_row("pose", *_quality(poses))
    if truth is not None:
        table.add_row("error", *_error(poses, measured, truth))
    return table


_ROWS = ("event_driver", "ann", "snn", "visualizer")


def _latency(poses: Sequence[ReceivedPose]) -> str:
    figures = latency_ms(poses)
    if figures["p50"] is None:
        return "waiting"
    return f"{figures['p50']:.1f} ms, p99 {figures['p99']:.1f}"


def _quality(poses: Sequence[ReceivedPose]) -> tuple[str, str]:
    if not poses:
        return "waiting", ""
    pose = poses[-1].pose
    sure = int((pose.confidence > MIN_CONFIDENCE).sum())
    age_ns = pose.init_age_ns
    age = f"state {age_ns * 1e-6:.0f} ms old" if age_ns >= 0 else "not initialised"
    return f"{sure} of {NUM_JOINTS} joints", f"with confidence over {MIN_CONFIDENCE:g}, {age}"


def _error(poses: Sequence[ReceivedPose], measured: Measurements, truth: Truth) -> tuple[str, str]:
    error, held = errors_px(poses, measured.inits, truth)
    if error is None or held is None:
        return "", ""
    return f"{error:.1f} px", f"mean over the joints; the ANN's pose held meanwhile: {held:.1f} px"


def _figures(state: NodeHealth, keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {state.values[key]}" for key in keys if key in state.values)


def _rate(times_ns: Sequence[int], unit: str) -> str:
    rate = rate_hz(times_ns)
    return "" if rate is None else f"{rate:.1f} {unit}"


def _recent(poses: Sequence[ReceivedPose]) -> Sequence[ReceivedPose]:
    if not poses:
        return poses
    since = poses[-1].received_ns - int(WINDOW_S * 1e9)
    return poses[bisect_left(poses, since, key=attrgetter("received_ns")) :]


def _recent_times(times_ns: Sequence[int]) -> Sequence[int]:
    if not times_ns:
        return times_ns
    return times_ns[bisect_left(times_ns, times_ns[-1] - int(WINDOW_S * 1e9)) :]
