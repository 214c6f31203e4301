# SPDX-License-Identifier: Apache-2.0
"""The parts of the page of results that are about spikes and energy."""

from typing import Final

from hybrid_pose_ros.research.evaluation.models import RARE_MS
from hybrid_pose_ros.research.evaluation.published import PUBLISHED_POWER_W
from hybrid_pose_ros.research.evaluation.results_plots import NAMES
from hybrid_pose_ros.research.markdown import Figures, px, rate, table

_LEFT_OUT: Final = ("mean_pose", "hybrid_engine", "hybrid_live", *RARE_MS)
"""They cost nothing, or what the hybrid does, or have a table of their own."""


def energy(figures: Figures, plot: str) -> str:
    """Power by both proxies, and what they count."""
    models, energy = figures["models"], figures["energy"]
    hybrid = models["hybrid"]
    rows = []
    for name in NAMES:
        if name in models and name not in _LEFT_OUT:
            model = models[name]
            paper = PUBLISHED_POWER_W.get(name)
            rows.append(
                [
                    NAMES[name],
                    f"{1e3 * model['power_w_paper']:.3g}",
                    f"{1e3 * model['power_w_honest']:.3g}",
                    "" if paper is None else f"{1e3 * paper:.0f}",
                ]
            )
    heads = ("power (mW)", "the paper's proxy", "extended proxy", "the paper's network")
    share = models["ann_held"]["power_w_honest"] / hybrid["power_w_honest"]
    return (
        f"## Energy\n\n![power]({plot})\n\n{table(heads, rows)}\n\n"
        f"One ANN run: {energy['ann_mmac']:.0f} MMAC, {energy['ann_run_uj']:.0f} µJ. One "
        f"initialisation: {energy['initialisation_uj']:.0f} µJ. One SNN step: "
        f"{energy['snn_dense_mmac']:.0f} MMAC if it were dense; by its spikes "
        f"{hybrid['snn_step_uj_paper']:.2f} µJ by the paper's proxy and "
        f"{hybrid['snn_step_uj_honest']:.2f} µJ by the extended one. {100 * share:.0f} % of the "
        "hybrid's power is its ten ANN runs per second.\n\n"
        "The paper's proxy charges 1.69 pJ per multiply-accumulate of ANN and initialiser and, "
        "per SNN layer, its firing rate times its dense operations times 0.38 pJ. The extended "
        "proxy charges every accumulate that a spike causes where it enters, one "
        "multiply-accumulate per neuron and step for its membrane, and upsampling, readout and "
        "the motion of the heatmaps (`hybrid_pose_ros/research/evaluation/energy.py` has the "
        "formulas). Both leave out memory traffic; neither was measured on a device."
    )


def rare(figures: Figures) -> str:
    """Costs and savings by the time between two runs of the ANN."""
    models = figures["models"]
    ann = models["ann"]
    rows = []
    for name, period_ms in {"hybrid": 100, **RARE_MS}.items():
        model = models[name]
        row = [f"{period_ms} ms"]
        for figure in ("mpjpe_px", "mpjpe_px_mocap"):
            if model[figure] is None:
                row += [px(None), ""]
            else:
                row += [px(model[figure]), f"{100 * (model[figure] / ann[figure] - 1):+.1f} %"]
        for figure in ("power_w_paper", "power_w_honest"):
            row.append(f"{100 * (1 - model[figure] / ann[figure]):.1f} %")
        rows.append(row)
    heads = (
        "an ANN run every",
        "33 movements (px)",
        "against the ANN",
        "captured (px)",
        "against the ANN",
        "power saved, paper's proxy",
        "extended proxy",
    )
    share = 100 * models["ann_held"]["power_w_honest"] / ann["power_w_honest"]
    return (
        "## How often the ANN has to run\n\nBeside the ANN at every step, "
        f"{px(ann['mpjpe_px'])} px on the 33 movements and {px(ann['mpjpe_px_mocap'])} px on "
        f"captured motion. At 10 Hz the ANN's own runs take {share:.1f} % of what it takes at "
        "every step, so that no SNN, however cheap, saves more than the rest; who wants to save "
        "more sets `ann.ros__parameters.rate_hz` lower.\n\n" + table(heads, rows)
    )


def firing(figures: Figures) -> str:
    """Firing rates of the layers."""
    models = figures["models"]
    columns = [n for n in ("hybrid", "hybrid_no_init", "hybrid_200hz", "snn") if n in models]
    rows = [
        [layer, *(rate(models[name]["firing_rates"][layer]) for name in columns)]
        for layer in models["hybrid"]["firing_rates"]
    ]
    rows.append(["all neurons", *(rate(models[name]["mean_firing_rate"]) for name in columns)])
    entering = models["hybrid"]["entering_rates"]
    return (
        "## Firing rates\n\nSpikes per neuron and step, in %; in the paper 2.7 to 5 % on "
        f"average.\n\n{table(('layer', *(NAMES[name] for name in columns)), rows)}\n\n"
        f"Of the input planes {rate(entering['head'])} % are set, of the readout's inputs "
        f"{rate(entering['readout'])} %."
    )
