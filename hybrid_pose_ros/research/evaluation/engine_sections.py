# SPDX-License-Identifier: Apache-2.0
"""The parts of the page of results that are about how the SNN runs in use: engine, short steps."""

from typing import Final

from hybrid_pose_ros.research.evaluation.error_sections import verdict
from hybrid_pose_ros.research.evaluation.results_plots import NAMES
from hybrid_pose_ros.research.evaluation.summary import SAME_PX
from hybrid_pose_ros.research.markdown import Figures, px, rate, table

TARGET_PX: Final = 0.02
"""The engine may change the mean error by so much."""

_ENGINE: Final = {
    "hybrid_engine": "the engine, with the same initial states",
    "hybrid_live": "the engine, with initial states in 8 bits per value, as the nodes send them",
}
_STEPS: Final = ("hybrid_engine", "hybrid_200hz", "hybrid_500hz", "hybrid_1000hz")


def engine(figures: Figures) -> str:
    """The hybrid on the engine against the same in torch."""
    rows = []
    for name, what in _ENGINE.items():
        apart = figures["difference"][name]
        rows.append(
            [
                NAMES[name],
                what,
                px(figures["models"][name]["mpjpe_px"]),
                f"{apart['error_px']:+.4f}",
                f"{apart['distance_px']:.4f}",
                f"{100 * apart['same']:.2f}",
                "yes" if abs(apart["error_px"]) <= TARGET_PX else "**no**",
            ]
        )
    heads = (
        "",
        "what it is",
        "error (px)",
        "against torch (px)",
        "mean distance of joints (px)",
        f"joints within {SAME_PX:g} px (%)",
        f"error within {TARGET_PX:g} px",
    )
    return (
        "## On the engine\n\nThe nodes do not run the SNN in torch, as `hybrid` and training do, "
        "but on lists of spikes. These are the same performances, instants and initialisations; "
        "sums are formed in another order, so a membrane at the threshold's edge may fire in one "
        "and not in the other. All other SNNs on this page run on the engine.\n\n"
        + table(heads, rows, text=(0, 1))
    )


def short_steps(figures: Figures) -> str:
    """Errors and power against the length of a step."""
    models = figures["models"]
    rows = []
    for name in _STEPS:
        if name in models:
            model = models[name]
            against = model["against_hybrid"]
            rows.append(
                [
                    f"{model['step_ms']:g} ms",
                    NAMES[name],
                    px(model["mpjpe_px"]),
                    px(model["mpjpe_px_mocap"]),
                    f"{against['percent']:+.1f} %",
                    f"{against['low']:+.1f} to {against['high']:+.1f} %",
                    verdict(against),
                    rate(model["mean_firing_rate"]),
                    f"{1e3 * model['power_w_honest']:.3g}",
                ]
            )
    heads = (
        "step",
        "",
        "error (px)",
        "captured (px)",
        "against the hybrid",
        "95 % of draws",
        "verdict",
        "spikes per neuron and step (%)",
        "power (mW)",
    )
    return (
        "## Shorter steps\n\nThe hybrid's own weights at shorter steps: time constants, decays "
        "and velocities keep their values in seconds, nothing is trained. Errors are compared at "
        "the same instants, every 10 ms, after the same initialisations; power is by the extended "
        f"proxy.\n\n{table(heads, rows, text=(0, 1, 6))}"
    )
