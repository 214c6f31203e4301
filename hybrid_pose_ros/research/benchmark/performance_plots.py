# SPDX-License-Identifier: Apache-2.0
"""The plots of the benchmarks' page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hybrid_pose_ros.research.plotting import save_plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES: Final = {
    "engine": "this package",
    "torch": "torch",
    "spikingjelly": "SpikingJelly",
    "snntorch": "snnTorch",
    "norse": "Norse",
    "hybrid": "hybrid",
    "ann": "ANN at every step",
    "dhp19_cnn": "CNN of DHP19 at every step",
    "torch_float32": "torch, float32",
    "torch_bfloat16": "torch, bfloat16",
    "torch_compile": "torch.compile, bfloat16",
    "onnxruntime_float32": "ONNX Runtime, float32",
    "onnxruntime_int8": "ONNX Runtime, int8",
    "openvino_float32": "OpenVINO, float32",
    "openvino_bfloat16": "OpenVINO, bfloat16",
    "openvino_int8": "OpenVINO, int8",
}
"""Names that people read of all that is measured."""

_OURS, _THEIRS, _FLOOR = "#0072b2", "#999999", "#d55e00"


def draw_plots(figures: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Draw a plot of each part that was measured, into a folder, which is made.

    Args:
        figures: what :func:`~hybrid_pose_ros.research.benchmark.suite.run_suite` yielded last.

    Returns:
        name -> file: some of ``step``, ``pose``, ``latency`` and ``scaling``.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    plots = {
        name: (size, draw, figures[key])
        for name, (key, size, draw) in _PLOTS.items()
        if key in figures
    }
    return save_plots(plots, folder, "performance")


def _bars(figure: "Figure", values: Mapping[str, float], label: str) -> None:
    axes = figure.subplots()
    names = list(values)[::-1]
    colours = [_OURS if name in ("engine", "hybrid") else _THEIRS for name in names]
    bars = axes.barh(range(len(names)), [values[name] for name in names], 0.6, color=colours)
    axes.bar_label(bars, [f"{values[name]:.3g}" for name in names], padding=3)
    axes.set_yticks(range(len(names)), [NAMES[name] for name in names])
    axes.set(xlabel=label, xscale="log", xlim=(min(values.values()) / 3, 3 * max(values.values())))
    axes.grid(visible=False, axis="y")


def _step(figure: "Figure", step_ms: Mapping[str, float]) -> None:
    _bars(figure, step_ms, "one step of the SNN (ms, logarithmic)")


def _pose(figure: "Figure", cpu_ms: Mapping[str, float]) -> None:
    _bars(figure, cpu_ms, "CPU time of a pose (ms, logarithmic)")


def _latency(figure: "Figure", system: Mapping[str, Any]) -> None:
    axes = figure.subplots()
    places = range(len(system))
    styles = {
        "p50_ms": ("o-", "median"),
        "p99_ms": ("s--", "99 %"),
        "p999_ms": ("^:", "99.9 %"),
    }
    for key, (style, label) in styles.items():
        values = [run[key] for run in system.values()]
        axes.plot(places, values, style, color=_OURS, label=label)
    axes.set_xticks(places, [f"{hz} Hz" for hz in system])
    axes.set(xlabel="poses per second", ylabel="latency (ms, logarithmic)", yscale="log")
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _scaling(figure: "Figure", scaling: Mapping[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    points = scaling["points"]
    rates = [point["mev_s"] for point in points]
    left.plot(rates, [p["bin_ms"] for p in points], "s--", color=_THEIRS, label="decode and bin")
    left.plot(rates, [p["step_ms"] for p in points], "o-", color=_OURS, label="step")
    left.plot(rates, [p["floor_ms"] for p in points], ":", color=_FLOOR, label="floor of the step")
    left.set(xlabel="million events per second", ylabel="ms per step", xscale="log")
    left.set_ylim(bottom=0)
    adds = [point["adds"] * 1e-6 for point in points]
    right.plot(adds, [p["step_ms"] for p in points], "o", color=_OURS)
    right.plot(adds, [p["floor_ms"] for p in points], ":", color=_FLOOR)
    line = scaling["step"]
    ends = (0.0, max(adds))
    right.plot(ends, [line["constant_ms"] + line["slope_ns"] * x for x in ends], color=_OURS)
    right.set(xlabel="million weights added per step", ylabel="ms per step", xlim=(0, None))
    right.set_ylim(bottom=0)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=3)


_PLOTS: Final = {
    "step": ("step_ms", (6.4, 2.4), _step),
    "pose": ("cpu_ms_per_pose", (6.4, 1.8), _pose),
    "latency": ("system", (6.4, 3.0), _latency),
    "scaling": ("scaling", (6.4, 3.0), _scaling),
}
"""Name -> key of the figures, size in inches, and what draws it."""
