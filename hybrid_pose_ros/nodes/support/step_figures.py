# SPDX-License-Identifier: Apache-2.0
"""Figures of `snn` and `ann` that their diagnostics report, without ROS."""

from hybrid_pose_ros.nodes.support.health import Durations, Latency, Level, Meter, Report
from hybrid_pose_ros.pipeline.state import Pose


class SnnFigures:
    """Counts poses and initialisations, and knows the age of the state.

    Attributes:
        refusal: why the last initialisation was refused.
    """

    def __init__(self) -> None:
        self.poses, self.merged, self.inits = Meter(), Meter(), Meter()
        self.superseded, self.refused, self.refusal = Meter(), Meter(), ""
        self.durations, self.latency = Durations(), Latency()
        self._first_ns = 0
        self._last: Pose | None = None

    def forget_age(self) -> None:
        """Begin without a past."""
        self._last = None

    def count(self, pose: Pose, step_start_ns: int, duration_ns: int, latency_ns: int) -> None:
        """Count a pose.

        Args:
            step_start_ns: sensor time at which its step began.
            duration_ns: of the step; latency_ns: from the packet's stamp to its publication.
        """
        self.poses.add()
        self.durations.add(duration_ns)
        self.latency.add(latency_ns)
        if self._last is None:
            self._first_ns = step_start_ns
        self._last = pose

    def report(self, report: Report, *, warn_age_ms: float, error_age_ms: float) -> None:
        """Add the figures since the last report, and the faults that they show."""
        _, pose_rate = self.poses.take()
        _, init_rate = self.inits.take()
        merged, _ = self.merged.take()
        refused, _ = self.refused.take()
        report.values |= {
            "poses per second": f"{pose_rate:.1f}",
            "initialisations per second": f"{init_rate:.1f}",
            "step ms, mean / max": self.durations.take(),
            "steps merged": str(self.merged.total),
            "initialisations accepted": str(self.inits.total),
            "initialisations refused": str(self.refused.total),
            "initialisations superseded": str(self.superseded.total),
        }
        self.latency.report(report)
        if merged:
            report.add(Level.WARN, f"overload: {merged} steps merged into later ones")
        if refused:
            report.add(
                Level.WARN, f"{refused} initialisations refused, the last because {self.refusal}"
            )
        if self._last is None:
            return
        age_ns, trouble = self._last.init_age_ns, "the state is {:.0f} ms old; is `ann` running?"
        report.values["state age ms"] = f"{age_ns / 1e6:.0f}" if age_ns >= 0 else "-"
        if age_ns < 0:
            age_ns = self._last.sensor_time_ns - self._first_ns
            trouble = "not initialised for {:.0f} ms; is `ann` running?"
        for level, limit_ms in ((Level.ERROR, error_age_ms), (Level.WARN, warn_age_ms)):
            if age_ns >= limit_ms * 1e6:
                sentence = trouble.format(age_ns / 1e6)
                report.add_missing(sentence, ever=self.inits.total, level=level)
                return


class AnnFigures:
    """Counts inferences."""

    def __init__(self) -> None:
        self.inferences, self.skipped = Meter(), Meter()
        self.durations, self.latency = Durations(), Latency()

    def count(self, duration_ns: int, latency_ns: int) -> None:
        """Count an inference that was published so long after its packet."""
        self.inferences.add()
        self.durations.add(duration_ns)
        self.latency.add(latency_ns)

    def report(self, report: Report) -> None:
        """Add the figures since the last report, and the faults that they show."""
        inferences, rate = self.inferences.take()
        skipped, _ = self.skipped.take()
        report.values |= {
            "inferences per second": f"{rate:.1f}",
            "inference ms, mean / max": self.durations.take(),
            "inferences skipped": str(self.skipped.total),
        }
        self.latency.report(report)
        if skipped:
            report.add(
                Level.WARN,
                f"too slow for rate_hz: {skipped} of {skipped + inferences} inferences skipped",
            )
