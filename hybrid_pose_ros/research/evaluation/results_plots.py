# SPDX-License-Identifier: Apache-2.0
"""The plots of the results page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hybrid_pose_ros.research.evaluation.models import RARE_MS
from hybrid_pose_ros.research.plotting import COLOURS, save_plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES: Final = {
    "ann": "ANN at every step",
    "ann_held": "ANN every 100 ms, held",
    "ann_extrapolated": "ANN every 100 ms, moved on",
    "snn": "SNN alone",
    "snn_running": "SNN alone, never reset",
    "hybrid": "hybrid",
    "hybrid_engine": "hybrid on the engine",
    "hybrid_live": "hybrid as it runs live",
    "hybrid_reset": "hybrid without state blending",
    "hybrid_no_init": "without state initialisation",
    "hybrid_no_init_untrained": "membranes at rest, not trained so",
    "hybrid_no_delta": "without delta output",
    "hybrid_200hz": "hybrid at 200 Hz",
    "hybrid_500hz": "hybrid at 500 Hz",
    "hybrid_1000hz": "hybrid at 1000 Hz",
    **{name: f"hybrid, initialised every {ms} ms" for name, ms in RARE_MS.items()},
    "hybrid_auto": "hybrid, ANN on demand",
    "hybrid_auto_1px": "hybrid, ANN on demand, 1 px",
    "hybrid_auto_6px": "hybrid, ANN on demand, 6 px",
    "mean_pose": "mean pose",
}
"""Models by the names that people read."""


def draw_plots(figures: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw all plots into a folder, which is made.

    Args:
        figures: what :func:`~hybrid_pose_ros.research.evaluation.evaluate.evaluate` returned.

    Returns:
        name -> file: ``steps``, ``movements``, ``energy`` and ``reliability``.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    plots = {name: (size, draw, figures) for name, (size, draw) in _PLOTS.items()}
    return save_plots(plots, folder, "results")


def _steps(figure: "Figure", figures: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    shown = ("ann", "ann_held", "hybrid_no_init", "hybrid_no_delta", "hybrid_300ms", "hybrid")
    for name in shown:
        if name in figures["models"]:
            errors = figures["models"][name]["mpjpe_px_per_step"]
            times = [10 * (step + 1) for step in range(len(errors))]
            axes.plot(
                times,
                errors,
                color=COLOURS[name],
                label=NAMES[name],
                linewidth=2.5 if name == "hybrid" else 1.5,
                marker="." if len(errors) == 10 else None,
            )
    axes.set(xlabel="time since the ANN ran (ms)", ylabel="error (px)", xlim=(0, 305))
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _movements(figure: "Figure", figures: Mapping[str, Any]) -> None:
    models = figures["models"]
    new = set(figures["test_set"]["held_out_movements"])
    hybrid = models["hybrid"]["mpjpe_px_per_movement"]
    order = sorted(hybrid, key=hybrid.__getitem__)
    axes = figure.subplots()
    places = range(len(order))
    axes.barh(
        places,
        [hybrid[name] for name in order],
        color=["#f0a35e" if name in new else COLOURS["hybrid"] for name in order],
    )
    ann = models["ann"]["mpjpe_px_per_movement"]
    axes.plot([ann[name] for name in order], places, "|", color="black", markersize=9)
    axes.set_yticks(places, [name.replace("_", " ") for name in order])
    axes.set(xlabel="error (px)", ylim=(-0.7, len(order) - 0.3))
    axes.grid(visible=False, axis="y")
    _legend(
        figure,
        (COLOURS["hybrid"], "hybrid"),
        ("#f0a35e", "hybrid, movement never trained on"),
        ("black", "ANN at every step (line)"),
    )


def _energy(figure: "Figure", figures: Mapping[str, Any]) -> None:
    models = figures["models"]
    shown = ("snn", "hybrid_300ms", "hybrid_200hz", "hybrid", "ann_held", "ann")
    names = [name for name in shown if name in models]
    axes = figure.subplots()
    for key, shift, colour in (
        ("power_w_paper", 0.2, "#9ecae1"),
        ("power_w_honest", -0.2, COLOURS["hybrid"]),
    ):
        power = [1e3 * models[name][key] for name in names]
        bars = axes.barh([i + shift for i in range(len(names))], power, 0.38, color=colour)
        axes.bar_label(bars, [f"{value:.3g}" for value in power], padding=3)
    axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
    axes.set(xlabel="power (mW, logarithmic)", xscale="log")
    axes.set_xlim(right=2.5 * 1e3 * models["ann"]["power_w_honest"])
    axes.grid(visible=False, axis="y")
    _legend(figure, ("#9ecae1", "the paper's proxy"), (COLOURS["hybrid"], "the extended proxy"))


def _reliability(figure: "Figure", figures: Mapping[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    for name, style in (("hybrid", "o-"), ("ann", "s--")):
        bins = [b for b in figures["reliability"][name]["bins"] if b["count"]]
        confidence = [b["mean_confidence"] for b in bins]
        left.plot(
            confidence, [b["found"] for b in bins], style, color=COLOURS[name], label=NAMES[name]
        )
        right.plot(confidence, [b["mean_error_px"] for b in bins], style, color=COLOURS[name])
    near = figures["reliability"]["hybrid"]["near_px"]
    left.plot((0, 1), (0, 1), ":", color="grey", linewidth=1)
    left.set(xlabel="confidence", ylabel=f"share within {near:g} px", xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="confidence", ylabel="mean error (px)", xlim=(0, 1))
    right.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)


def _legend(figure: "Figure", *entries: tuple[str, str]) -> None:
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(color=colour, label=label) for colour, label in entries],
        loc="outside upper center",
        ncols=len(entries),
        frameon=False,
    )


_PLOTS: Final = {
    "steps": ((6.4, 4.0), _steps),
    "movements": ((6.8, 6.4), _movements),
    "energy": ((6.4, 3.2), _energy),
    "reliability": ((6.4, 3.0), _reliability),
}
"""Name -> size in inches and what draws it."""
