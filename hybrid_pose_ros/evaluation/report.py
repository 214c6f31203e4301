# SPDX-License-Identifier: Apache-2.0
"""A page of results from the figures of an evaluation, in Markdown.

Every number and every judgement on the page is computed from the figures.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from hybrid_pose_ros.evaluation.demos import Demo, demo_section
from hybrid_pose_ros.evaluation.markdown import number, percent, px, rate, table
from hybrid_pose_ros.evaluation.plots import NAMES
from hybrid_pose_ros.evaluation.protocols import LATE_MS, WINDOW_INSTANTS
from hybrid_pose_ros.evaluation.published import (
    PUBLISHED_3D_MM,
    PUBLISHED_PER_STEP_PX,
    PUBLISHED_POWER_W,
    PUBLISHED_PX,
)

_ABLATIONS: Final = {
    "hybrid_reset": "initialisations overwrite everything, as in the paper; run time only",
    "hybrid_no_init": "the ANN initialises the accumulator only; the SNN was trained for that",
    "hybrid_no_init_untrained": "the same at run time, with an SNN trained for initialisation",
    "hybrid_no_delta": "the SNN puts out heatmaps instead of increments; trained so",
    "hybrid_200hz": "steps of 5 ms; the hybrid's own weights, converted",
    "ann_held": "no SNN: the ANN's pose is kept for the window",
    "ann_extrapolated": "no SNN: the ANN's pose moves on with its first velocity",
    "hybrid_300ms": "initialised every 300 ms only",
}

Figures = Mapping[str, Any]


class ReportError(ValueError):
    """The figures are of another version; the message says so."""


def check_format(figures: Any, expected: int) -> None:
    """Raise :class:`ReportError` if these are not figures of the expected format."""
    if not isinstance(figures, dict) or figures.get("format") != expected:
        raise ReportError(
            "these are no figures of this version's `hybrid-pose evaluate`; evaluate again"
        )


def write_report(
    figures: Figures,
    gauge: Figures | None,
    plots: Mapping[str, str],
    demos: Sequence[Demo] = (),
) -> str:
    """Return the page.

    Args:
        figures: of `hybrid-pose evaluate`.
        gauge: of `hybrid-pose gauge`, or None.
        plots: name of a plot -> its address on the page.
        demos: runs of the whole system.
    """
    sections = [
        _beginning(figures),
        _comparison(figures),
        _steps(figures, plots["steps"]),
        _parts(figures),
        _late(figures),
        _movements(figures, plots["movements"]),
        _joints(figures),
        _energy(figures, plots["energy"]),
        _firing(figures),
        _confidence(figures, plots["reliability"]),
        _trained(figures),
    ]
    if gauge is not None:
        sections.append(_gauge(gauge))
    if demos:
        sections.append(demo_section(demos))
    sections.append(_limits(figures))
    return "\n\n".join(sections) + "\n"


def verdict(against: Figures) -> str:
    """Say in words whether a difference of errors (in percent of the hybrid's) matters."""
    if against["low"] <= 0 <= against["high"]:
        return "makes no difference that this test can tell"
    size = abs(against["percent"])
    if size < 2:
        return "hardly matters"
    much = "matters" if size < 10 else "matters much"
    return much if against["percent"] > 0 else f"{much}, and the error is smaller this way"


def _beginning(figures: Figures) -> str:
    test, models, relative = figures["test_set"], figures["models"], figures["relative"]
    counts = test["performances"]
    poses = sum(counts.get(kind, 0) for kind in ("movement", "mocap"))
    poses *= test["poses_per_performance"]
    hybrid, ann = models["hybrid"], models["ann"]
    lines = [
        "# Results",
        "",
        "This page is made by `hybrid-pose report` from the figures of",
        "",
        f"```sh\n{figures['command']}\n```",
        "",
        f"Model `{figures['model']}`, checkpoint {figures['checkpoint']}, seed {test['seed']}. "
        f"{_performances(counts)}, each seen by two cameras ({', '.join(test['cameras'])}): "
        f"{poses:,} poses at 100 Hz of people, clothes, rooms and sensors that training never "
        f"saw. The evaluation took {figures['took_s'] / 60:.1f} min with "
        f"{figures['workers']} processes. All recordings are **simulated**; the paper's figures "
        "beside them are from DHP19's real recordings and say what the method did there, not what "
        "it would do here.",
        "",
        f"- The hybrid's error is {px(hybrid['mpjpe_px'])} px, "
        f"{percent(relative['hybrid_error_above_ann'])} that of the ANN run at every step "
        f"({px(ann['mpjpe_px'])} px); in the paper 3 % above.",
    ]
    if "hybrid_error_below_snn" in relative:
        lines.append(
            f"- It is {percent(-relative['hybrid_error_below_snn'])} that of the SNN alone "
            f"({px(models['snn']['mpjpe_px'])} px), reset at every window as in the paper "
            f"(there 76 % below); {percent(-relative['hybrid_error_below_snn_running'])} that "
            f"of the SNN alone without resets ({px(models['snn_running']['mpjpe_px'])} px)."
        )
    lines += [
        f"- Its power is {relative['hybrid_power_below_ann_paper']:.0f} % less than the ANN's at "
        f"the same rate by the paper's proxy (there 88 %), "
        f"{relative['hybrid_power_below_ann_honest']:.0f} % less by one that also counts "
        "membranes, upsampling and the motion of heatmaps.",
        f"- In space, from two cameras: {figures['error_3d_mm']['hybrid']['mean']:.0f} mm "
        f"(median {figures['error_3d_mm']['hybrid']['median']:.0f} mm); "
        f"the ANN at every step {figures['error_3d_mm']['ann']['mean']:.0f} mm; "
        f"the paper {PUBLISHED_3D_MM} mm.",
    ]
    return "\n".join(lines)


def _comparison(figures: Figures) -> str:
    models = figures["models"]
    rows = []
    for name in NAMES:
        if name not in models or name == "hybrid_300ms":
            continue
        model = models[name]
        paper = PUBLISHED_PX.get(name)
        row = [
            NAMES[name],
            px(model["mpjpe_px"]),
            px(model["median_px"]),
            px(model["mpjpe_px_mocap"]),
            *(f"{100 * model['pck'][limit]:.1f}" for limit in ("5", "10", "20")),
            "" if paper is None else f"{paper:.2f}",
        ]
        rows.append([f"**{cell}**" if name == "hybrid" and cell else cell for cell in row])
    heads = ("", "33 movements", "median", "captured", "≤ 5 px", "≤ 10 px", "≤ 20 px", "paper")
    text = "## The comparison\n\n2D error (MPJPE) in px of the 346x260 view, at 100 Hz; the share "
    text += "of joints within a distance in %, on the 33 movements; *captured*: motion capture of "
    text += "subjects that training never saw.\n\n" + table(heads, rows)
    for name, reason in figures["missing"].items():
        text += f"\n\n{NAMES.get(name, name)} is missing: {reason}."
    return text


def _steps(figures: Figures, plot: str) -> str:
    models = figures["models"]
    rows = []
    for name in ("ann", "ann_held", "snn", "hybrid", "hybrid_no_init", "hybrid_no_delta"):
        if name in models:
            rows.append([NAMES[name], *map(px, models[name]["mpjpe_px_per_step"])])
            if name in PUBLISHED_PER_STEP_PX:
                rows.append(["*paper*", *map(px, PUBLISHED_PER_STEP_PX[name])])
    heads = ("ms since the ANN ran", *(str(10 * (i + 1)) for i in range(WINDOW_INSTANTS)))
    long = models["hybrid_300ms"]["mpjpe_px_per_step"]
    tenth = [sum(long[i : i + WINDOW_INSTANTS]) / WINDOW_INSTANTS for i in (0, 10, 20)]
    more = figures["relative"]["hybrid_300ms_error_above_hybrid"]
    return (
        f"## Within a window\n\n![error over time]({plot})\n\n{table(heads, rows)}\n\n"
        f"Without a new initialisation for 300 ms the hybrid's mean error is "
        f"{px(models['hybrid_300ms']['mpjpe_px'])} px, {percent(more)} its usual one: "
        f"{px(tenth[0])} px in the first 100 ms, {px(tenth[1])} px in the second and "
        f"{px(tenth[2])} px in the third. In the paper it grows from 5.95 px after 100 ms to "
        "21.1 px after 200 ms."
    )


def _parts(figures: Figures) -> str:
    rows = []
    for name, what in _ABLATIONS.items():
        if name in figures["models"]:
            model = figures["models"][name]
            against = model["against_hybrid"]
            rows.append(
                [
                    NAMES[name],
                    what,
                    px(model["mpjpe_px"]),
                    f"{against['percent']:+.1f} %",
                    f"{against['low']:+.1f} to {against['high']:+.1f} %",
                    verdict(against),
                ]
            )
    heads = ("", "what it is", "error (px)", "against the hybrid", "95 % of draws", "verdict")
    return (
        "## What each part is worth\n\nThe interval is that of 2000 test sets drawn from this "
        "one's performances (paired bootstrap). A difference whose interval contains 0 cannot be "
        "told from none; below 2 % we call it hardly one, from 10 % on much.\n\n"
        + table(heads, rows, text=(0, 1, 5))
    )


def _late(figures: Figures) -> str:
    models = figures["models"]
    rows = [["0 ms", px(models["hybrid"]["mpjpe_px"]), px(models["hybrid"]["mpjpe_px"]), ""]]
    for late_ms in LATE_MS:
        replay = models[f"hybrid_late_{late_ms}ms"]["mpjpe_px"]
        immediate = models[f"hybrid_late_{late_ms}ms_no_replay"]["mpjpe_px"]
        gain = f"{100 * (1 - replay / immediate):.0f} %"
        rows.append([f"{late_ms} ms", px(replay), px(immediate), gain])
    heads = (
        "the ANN's answer comes after",
        "with replay (px)",
        "without (px)",
        "replay takes off",
    )
    return (
        "## An ANN that answers late\n\nUntil the answer comes, the SNN goes on from the state "
        "before. With replay the steps that were missed are run again from the new state "
        "(`init_policy: replay`); without, the state is taken as if it described the present, as "
        f"the paper's evaluation implies.\n\n{table(heads, rows)}"
    )


def _movements(figures: Figures, plot: str) -> str:
    models, new = figures["models"], set(figures["test_set"]["held_out_movements"])
    text = f"## Movements\n\n![error per movement]({plot})\n\n"
    if new:
        hybrid, ann = models["hybrid"], models["ann"]
        text += (
            "Movements that training never showed (new): hybrid "
            f"{px(hybrid['mpjpe_px_held_out_movements'])} px, ANN "
            f"{px(ann['mpjpe_px_held_out_movements'])} px; the others: hybrid "
            f"{px(hybrid['mpjpe_px_trained_movements'])} px, ANN "
            f"{px(ann['mpjpe_px_trained_movements'])} px.\n\n"
        )
    return text + _errors_by(figures, "mpjpe_px_per_movement", new)


def _joints(figures: Figures) -> str:
    return "## Joints\n\n" + _errors_by(figures, "mpjpe_px_per_joint")


def _errors_by(figures: Figures, key: str, new: Collection[str] = ()) -> str:
    """A table of the errors of some models, a row per name."""
    models = figures["models"]
    columns = [name for name in ("hybrid", "ann", "ann_held", "snn") if name in models]
    rows = [
        [
            name.replace("_", " ") + (" (new)" if name in new else ""),
            *(px(models[model][key][name]) for model in columns),
        ]
        for name in models["hybrid"][key]
    ]
    return table(("error (px)", *(NAMES[model] for model in columns)), rows)


def _energy(figures: Figures, plot: str) -> str:
    models, energy = figures["models"], figures["energy"]
    hybrid = models["hybrid"]
    rows = []
    for name in NAMES:
        if name in models and name != "mean_pose":
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
    heads = ("power (mW)", "the paper's proxy", "honest proxy", "the paper's network")
    share = models["ann_held"]["power_w_honest"] / hybrid["power_w_honest"]
    return (
        f"## Energy\n\n![power]({plot})\n\n{table(heads, rows)}\n\n"
        f"One ANN run: {energy['ann_mmac']:.0f} MMAC, {energy['ann_run_uj']:.0f} µJ. One "
        f"initialisation: {energy['initialisation_uj']:.0f} µJ. One SNN step: "
        f"{energy['snn_dense_mmac']:.0f} MMAC if it were dense; by its spikes "
        f"{hybrid['snn_step_uj_paper']:.2f} µJ by the paper's proxy and "
        f"{hybrid['snn_step_uj_honest']:.2f} µJ by the honest one. {100 * share:.0f} % of the "
        "hybrid's power is its ten ANN runs per second.\n\n"
        "The paper's proxy charges 1.69 pJ per multiply-accumulate of ANN and initialiser and, "
        "per SNN layer, its firing rate times its dense operations times 0.38 pJ. The honest "
        "proxy charges every accumulate that a spike causes where it enters, one "
        "multiply-accumulate per neuron and step for its membrane, and upsampling, readout and "
        "the motion of the heatmaps (`hybrid_pose_ros/evaluation/energy.py` has the formulas). "
        "Both leave out memory traffic; neither was measured on a device."
    )


def _firing(figures: Figures) -> str:
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


def _confidence(figures: Figures, plot: str) -> str:
    judged = figures["reliability"]["hybrid"]
    rows = [
        [
            f"{b['low']:.1f} to {b['high']:.1f}",
            f"{b['count']:,}",
            px(b["mean_error_px"]),
            "" if b["found"] is None else f"{100 * b['found']:.0f}",
        ]
        for b in judged["bins"]
    ]
    near = f"{judged['near_px']:g} px"
    means = judged["mean_confidence"]
    places = {
        "in_view": "joints in view",
        "close_in_view": "close-up cameras, joints in view",
        "close_out_of_view": "close-up cameras, joints out of view",
        "nobody": "nobody there",
    }
    known = [[text, number(means[key], 1, 2)] for key, text in places.items() if key in means]
    return (
        f"## Confidence\n\n![reliability]({plot})\n\n"
        f"{table(('confidence', 'joints', 'mean error (px)', f'within {near} (%)'), rows)}\n\n"
        f"A joint that is found (within {near}) has more confidence than one that is not in "
        f"{number(judged['auc'], 100, 0)} % of pairs; rank correlation of confidence and error "
        f"{number(judged['rank_correlation'], 1, 2)}.\n\n"
        f"{table(('', 'mean confidence'), known)}"
    )


def _trained(figures: Figures) -> str:
    summary = figures["trained"]
    heads = ["training", "updates", "batch", "steps per sample", "learning rate", "seed"]
    keys = ["updates", "batch", "window_steps", "learning_rate", "seed"]
    rows = [
        [name.replace("_", " "), *(str(plan.get(key, "-")) for key in keys)]
        for name, plan in summary.get("trained", {}).items()
    ]
    seen = "This checkpoint does not tell how it was trained."
    if rows:
        seen = (
            f"The last training used {summary['train_recordings']} simulated recordings, "
            f"{summary['train_minutes']:.0f} minutes in all.\n\n{table(heads, rows)}"
        )
    return f"## What the weights have seen\n\n{seen}"


def _gauge(gauge: Figures) -> str:
    rows = [
        [f"channel {channel.removeprefix('ch')}", px(value), px(gauge["median_px"][channel])]
        for channel, value in gauge["mpjpe_px"].items()
    ]
    return (
        "## How real the simulated events look\n\nDHP19's published CNN, trained on real "
        f"recordings, has an error of {gauge['published_px']} px on real ones and on simulated "
        f"ones of the 33 movements (`hybrid-pose gauge`, {gauge['seconds']:g} s each, seed "
        f"{gauge['seed']}):\n\n{table(('', 'mean (px)', 'median (px)'), rows)}\n\n"
        "The ranges of the simulated sensor and the places of the markers were fitted with this "
        "network's help on scenes of seed 0: no independent proof."
    )


def _limits(figures: Figures) -> str:
    test = figures["test_set"]
    return (
        "## Limits of this evaluation\n\n"
        "- Everything is simulated by the simulator that also made the training data. People, "
        "movements, clothes, rooms and sensors are drawn anew, but from the same "
        "distributions; real recordings differ in ways that no figure here shows.\n"
        "- The paper's figures are from other data and a larger network on a larger image; only "
        "the relations between models can be compared.\n"
        f"- {test['people_per_movement']} performance(s) of each movement, "
        f"{test['seconds_per_performance']:.1f} s long, of which the last "
        f"{test['poses_per_performance'] / 200:.1f} s count: an error per movement is that of a "
        "few people. The intervals say how far the means can be trusted.\n"
        "- Errors count the joints inside the image, hidden ones included. The person is alone, "
        "the camera is fixed.\n"
        "- The networks are run as they were trained, in single precision. The nodes send initial "
        "states in 8 bits per value and run the SNN as a sparse engine; neither is part of these "
        "figures.\n"
        "- Energy is counted, not measured."
    )


def _performances(counts: Mapping[str, int]) -> str:
    names = {
        "movement": "performances of DHP19's 33 movements",
        "mocap": "of captured motions",
        "close": "before close-up cameras",
        "absent": "empty rooms",
    }
    parts = [f"{counts[kind]} {name}" for kind, name in names.items() if counts.get(kind)]
    return ", ".join(parts)
