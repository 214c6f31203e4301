# SPDX-License-Identifier: Apache-2.0
"""A page that opens everything a demonstration has left: ``index.html``, without other files."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from hybrid_pose_ros.demo.report import Measurements
from hybrid_pose_ros.simulation.recording import Truth

PAGE: Final = "index.html"

PLOT_WIDTH: Final = 640
PLOT_HEIGHT: Final = 120

MAX_POINTS: Final = 400
"""Of a plot; of more, the largest of each group is drawn."""

LATE_SHARE: Final = 0.02
"""More steps merged, or runs of the ANN left out, are not owed to the start alone."""

STYLE: Final = """
body { font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  background: #0e111b; color: #dde3f0 }
a { color: #8ab4ff } code { background: #1c2233; padding: .1em .3em; border-radius: .2em }
img { max-width: 100% } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #2a3148 }
figure { margin: 1rem 0 } svg { width: 100%; background: #141926 }
"""


@dataclass(frozen=True)
class Figure:
    """A figure of the summary, for people.

    Attributes:
        keys: its places in the summary, with dots between the parts.
        good: the value that a machine with nothing else to do reaches, in words.
    """

    label: str
    keys: tuple[str, ...]
    unit: str
    good: str


FIGURES: Final = (
    Figure(
        "packets published / received",
        ("packets_published", "packets_received"),
        "",
        "equal: none was lost",
    ),
    Figure("poses per second", ("pose_rate_hz",), "", "100 at rate 1: one per step of 10 ms"),
    Figure("initialisations per second", ("init_rate_hz",), "", "10 at rate 1"),
    Figure(
        "latency, median / p99",
        ("latency_ms.p50", "latency_ms.p99"),
        " ms",
        "below 10 ms; more means that other programs keep the processor busy",
    ),
    Figure(
        "age of the state, mean / max",
        ("state_age_ms.mean", "state_age_ms.max"),
        " ms",
        "mean below 150 ms: the ANN keeps up",
    ),
    Figure("confident joints, mean", ("joints_confident_mean",), " of 13", "more is better"),
    Figure("error (MPJPE)", ("mpjpe_px",), " px", "below that of the held ANN pose"),
    Figure("error of the held ANN pose", ("mpjpe_ann_held_px",), " px", "the SNN is to beat it"),
    Figure("steps merged", ("steps_merged",), "", "0: every step had a pose of its own"),
    Figure("initialisations refused", ("inits_refused",), "", "0"),
)


def text_of(figure: Figure, summary: Mapping[str, Any]) -> str | None:
    """Return a figure of a summary as text, or None if it was not measured."""
    values: list[Any] = []
    for key in figure.keys:
        value: Any = summary
        for part in key.split("."):
            value = value[part]
        values.append(value)
    if all(value is None for value in values):
        return None
    return " / ".join("-" if value is None else str(value) for value in values) + figure.unit


def slowness(summary: Mapping[str, Any]) -> str:
    """Say that a machine was too slow, by how much, and what to do; nothing if it was not."""
    merged, skipped = summary["steps_merged"], summary["inferences_skipped"]
    steps, runs = summary["poses"] + merged, summary["inits"] + skipped
    if merged <= LATE_SHARE * steps and skipped <= LATE_SHARE * runs:
        return ""
    kept = min(1 - merged / max(1, steps), 1 - skipped / max(1, runs))
    rate = max(0.05, 0.8 * kept * summary["rate"])
    return (
        f"This machine was too slow: {merged} of {steps} steps were merged into later ones, and "
        f"{skipped} of {runs} runs of the ANN left out, so the poses come late and are worse than "
        f"they are elsewhere. End other programs, or play the events slower: --rate {rate:.1g}"
    )


def write_page(
    folder: Path,
    summary: Mapping[str, Any],
    measured: Measurements,
    truth: Truth | None,
    next_steps: Sequence[tuple[str, str]],
) -> Path:
    """Write the page of a demonstration and return its path.

    Args:
        folder: of the demonstration, with its pictures.
        next_steps: (what for, command) each.
    """
    parts = [f"<h1>{html.escape(str(summary['recording']))}</h1>"]
    parts += [
        f'<figure><img src="{name}" alt="{alt}"><figcaption>{alt}</figcaption></figure>'
        for name, alt in (
            ("demo.gif", "The busiest seconds: events, the pose, and the true pose, paler."),
            ("overlay.png", "A typical moment, neither the best nor the worst."),
        )
        if (folder / name).is_file()
    ]
    parts += ["<h2>Measured</h2>", *(f"<p>{said}</p>" for said in [slowness(summary)] if said)]
    parts.append(_table(summary))
    parts += [f"<h2>Over time</h2>{plots}" for plots in [_plots(measured, truth)] if plots]
    warnings = [
        f"<li>{html.escape(f'{node}: {text}')}</li>"
        for node, texts in summary["warnings"].items()
        for text in texts
    ]
    if warnings:
        parts.append(f"<h2>What the nodes complained of</h2><ul>{''.join(warnings)}</ul>")
    parts += ["<h2>Files</h2>", _files(folder), "<h2>Next</h2><ul>"]
    parts += [
        f"<li>{html.escape(what)}: <code>{html.escape(command)}</code></li>"
        for what, command in next_steps
    ]
    page = folder / PAGE
    title = "hybrid_pose_ros: demonstration"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style>{''.join(parts)}</ul></html>\n",
        encoding="utf-8",
    )
    return page


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 1e6:.0f} MB" if size >= 9_500_000 else f"{size / 1e6:.1f} MB"


def _table(summary: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td>{figure.label}</td><td>{text}</td><td>{figure.good}</td></tr>"
        for figure in FIGURES
        if (text := text_of(figure, summary)) is not None
    ]
    return f"<table><tr><th></th><th></th><th>good is</th></tr>{''.join(rows)}</table>"


def _files(folder: Path) -> str:
    rows = [
        f'<tr><td><a href="{html.escape(path.name)}">{html.escape(path.name)}</a></td>'
        f"<td>{megabytes(size_of(path))}</td></tr>"
        for path in sorted(folder.iterdir())
        if path.name != PAGE
    ]
    return f"<table>{''.join(rows)}</table>"


def _plots(measured: Measurements, truth: Truth | None) -> str:
    """Return plots of latency, age of the state, confidence and error over host time."""
    poses = measured.poses
    if len(poses) < 2:
        return ""
    begin = poses[0].stamp_ns
    seconds = np.array([(pose.stamp_ns - begin) * 1e-9 for pose in poses])
    lines = {
        "latency (ms)": [(pose.received_ns - pose.stamp_ns) * 1e-6 for pose in poses],
        "age of the state (ms)": [pose.pose.init_age_ns * 1e-6 for pose in poses],
        "confidence, mean of the joints": [float(pose.pose.confidence.mean()) for pose in poses],
    }
    if truth is not None:
        points, known = truth.at(np.array([pose.pose.sensor_time_ns for pose in poses]))
        estimates = np.stack([pose.pose.keypoints for pose in poses])
        distances = np.where(known, np.linalg.norm(estimates - points, axis=-1), np.nan)
        seen = known.any(1)
        errors = np.full(len(poses), np.nan)
        errors[seen] = np.nanmean(distances[seen], axis=1)
        lines["error (px)"] = errors.tolist()
    return "".join(_plot(title, seconds, np.array(values)) for title, values in lines.items())


def _plot(title: str, seconds: np.ndarray, values: np.ndarray) -> str:
    """Return a line as SVG, its axis from zero to the largest value."""
    known = np.isfinite(values) & (values >= 0)
    if known.sum() < 2:
        return ""
    seconds, values = seconds[known], values[known]
    groups = np.array_split(np.arange(len(values)), min(MAX_POINTS, len(values)))
    peaks = [group[np.argmax(values[group])] for group in groups]
    top, length = float(values.max()) or 1.0, float(seconds[-1]) or 1.0
    points = " ".join(
        f"{seconds[n] / length * PLOT_WIDTH:.1f},{(1 - values[n] / top) * PLOT_HEIGHT:.1f}"
        for n in peaks
    )
    caption = f"{title}: up to {top:.3g}, median {np.median(values):.3g}, over {length:.1f} s"
    return (
        f"<figure><figcaption>{caption}</figcaption>"
        f'<svg viewBox="0 -4 {PLOT_WIDTH} {PLOT_HEIGHT + 8}" role="img">'
        f'<polyline fill="none" stroke="#8ab4ff" points="{points}"/></svg></figure>'
    )
