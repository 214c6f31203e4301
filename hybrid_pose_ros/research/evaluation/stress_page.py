# SPDX-License-Identifier: Apache-2.0
"""The page of the stress test: a table and a curve per axis, all from the figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.metrics.pose_score import SHOWN_CONFIDENCE
from hybrid_pose_ros.research.evaluation.stress import FORMAT
from hybrid_pose_ros.research.evaluation.stress_axes import AXES, USUAL_SIZE
from hybrid_pose_ros.research.evaluation.stress_scenes import LEAD_S
from hybrid_pose_ros.research.markdown import Figures, number, table
from hybrid_pose_ros.research.plotting import COLOURS, Plot, save_plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS: Final = {
    "ann_px": ("ANN (px)", 1, 1),
    "hybrid_px": ("hybrid (px)", 1, 1),
    "median_px": ("median (px)", 1, 1),
    "shown_error_px": ("joints shown (px)", 1, 1),
    "body_percent": ("% of the body", 1, 1),
    "joints_shown": ("joints shown", 1, 1),
    "joints_in_view": ("joints in view", 1, 1),
    "shown_outside": ("shown outside", 1, 2),
    "mirrored": ("mirrored (%)", 100, 0),
    "confidence": ("confidence", 1, 2),
    "calibration_error": ("calibration error", 1, 2),
}
"""Figure -> head of its column, factor, and digits."""

_SIZE: Final = (8.0, 2.4)


class StressFiguresError(UserError):
    """The figures are of another version; the message says so."""


def draw_curves(figures: Figures, folder: Path) -> dict[str, Path]:
    """Draw the curve of each axis into a folder, which is made; returns axis -> file.

    Raises:
        StressFiguresError: the figures are of another version.
        PlotsUnavailableError: matplotlib is not installed.
    """
    if figures.get("format") != FORMAT:
        raise StressFiguresError(
            "these are no figures of this version's `hybrid-pose evaluate --stress`; "
            "evaluate again"
        )
    plots: dict[str, Plot] = {
        axis: (_SIZE, _draw, (AXES[axis].title, rows)) for axis, rows in figures["stress"].items()
    }
    return save_plots(plots, folder, "robustness")


def write_stress_page(figures: Figures, plots: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        figures: of `hybrid-pose evaluate --stress`.
        plots: axis -> address of its curve on the page.
    """
    sections = [_beginning(figures)]
    sections += [_section(axis, rows, plots[axis]) for axis, rows in figures["stress"].items()]
    return "\n\n".join(sections) + "\n"


def _beginning(figures: Figures) -> str:
    performances, people = figures["performances"], figures["people"]
    worst = [
        [
            axis.replace("_", " "),
            value_text(row["value"]),
            number(row["hybrid_px"], 1, 1),
            number(row["shown_error_px"], 1, 1),
            number(row["joints_shown"], 1, 1),
            number(row["mirrored"], 100, 0),
        ]
        for axis, rows in figures["stress"].items()
        for row in [max(rows, key=lambda row: row["hybrid_px"] or 0.0)]
    ]
    heads = (
        "axis",
        "worst at",
        "hybrid (px)",
        "joints shown (px)",
        "joints shown",
        "mirrored (%)",
    )
    return (
        "# Robustness\n\n"
        "How the networks bear what training rarely shows. This page is made by "
        "`hybrid-pose research report` from the figures of\n\n"
        f"```sh\n{figures['command']}\n```\n\n"
        f"Model `{figures['model']}`, checkpoint {figures['checkpoint']}. All recordings are "
        f"**simulated**: a person 3 m before a camera, {100 * USUAL_SIZE:g} % as high as its "
        "picture, who faces it, in a plain room before a DAVIS346; every other person is a mesh, "
        "the others are capsules. On each axis one condition is varied and all others stay; "
        "people, rooms and noise are the same for all values, so that the curves are paired. "
        f"Performances: {', '.join(performances)}, by {people} "
        f"{'person' if people == 1 else 'persons'} each, of whom {figures['seconds']:g} s count "
        f"after {LEAD_S:g} s. The ANN runs every 50 ms; the hybrid makes a pose every 10 ms with "
        "an ANN every 100 ms.\n\n"
        "Errors are means over the joints in view, in px of the 346x260 view; median, joints "
        "shown and all further columns are the hybrid's. A joint is shown with a confidence of "
        f"at least {SHOWN_CONFIDENCE:g}; mirrored is the share of poses that fit better with left "
        "and right exchanged; the calibration error is the mean distance between a joint's "
        "confidence and the share of joints of that confidence within 10 px.\n\n"
        f"{table(heads, worst, (0, 1))}"
    )


def _section(axis: str, rows: Sequence[Mapping[str, Any]], plot: str) -> str:
    heads = [axis.replace("_", " "), *(head for head, _, _ in COLUMNS.values())]
    lines = [
        [
            value_text(row["value"]),
            *(number(row[key], factor, digits) for key, (_, factor, digits) in COLUMNS.items()),
        ]
        for row in rows
    ]
    title = AXES[axis].title
    return (
        f"## {axis.replace('_', ' ').capitalize()}\n\n{title[0].upper()}{title[1:]}.\n\n"
        f"![{axis}]({plot})\n\n{table(heads, lines)}"
    )


def value_text(value: float | str) -> str:
    """Return a place on an axis as tables and plots name it."""
    return value if isinstance(value, str) else f"{value:g}"


def _draw(figure: "Figure", figures: tuple[str, Sequence[Mapping[str, Any]]]) -> None:
    """Errors on the left; joints shown, confidence and mirrored poses as shares on the right."""
    title, rows = figures
    errors, shares = figure.subplots(1, 2)
    places, names = range(len(rows)), [value_text(row["value"]) for row in rows]

    def curve(axes: Any, key: str, label: str, colour: str, factor: float = 1.0) -> None:
        values = [float("nan") if row[key] is None else factor * row[key] for row in rows]
        axes.plot(places, values, marker=".", label=label, color=colour)

    curve(errors, "ann_px", "ANN", COLOURS["ann"])
    curve(errors, "hybrid_px", "hybrid", COLOURS["hybrid"])
    curve(errors, "shown_error_px", "hybrid, joints shown", COLOURS["hybrid_300ms"])
    curve(shares, "joints_shown", "joints shown / 13", COLOURS["hybrid"], 1 / 13)
    curve(shares, "confidence", "confidence", COLOURS["hybrid_no_delta"])
    curve(shares, "mirrored", "mirrored", COLOURS["snn"])
    errors.set(ylabel="error (px)", ylim=(0, None))
    shares.set(ylabel="share", ylim=(-0.03, 1.03))
    for axes in (errors, shares):
        axes.set_xticks(places, names, rotation=30 if max(map(len, names)) > 6 else 0)
        axes.legend(fontsize=7, frameon=False)
    figure.supxlabel(title, fontsize=9)
