# SPDX-License-Identifier: Apache-2.0
"""The parts of the page of results that are about errors."""

from collections.abc import Collection
from typing import Final

from hybrid_pose_ros.research.evaluation.models import CURVE_ONLY, RARE_MS
from hybrid_pose_ros.research.evaluation.protocols import LATE_MS, WINDOW_INSTANTS
from hybrid_pose_ros.research.evaluation.published import PUBLISHED_PER_STEP_PX, PUBLISHED_PX
from hybrid_pose_ros.research.evaluation.results_plots import NAMES
from hybrid_pose_ros.research.markdown import Figures, percent, px, table

_ABLATIONS: Final = {
    "hybrid_reset": "initialisations overwrite everything, as in the paper; run time only",
    "hybrid_no_init": "the ANN initialises the accumulator only; the SNN was trained for that",
    "hybrid_no_init_untrained": "the same at run time, with an SNN trained for initialisation",
    "hybrid_no_delta": "the SNN puts out heatmaps instead of increments, so that there is nothing "
    "to move with velocities or to average; trained so",
    "ann_held": "no SNN: the ANN's pose is kept for the window",
    "ann_extrapolated": "no SNN: the ANN's pose moves on with its first velocity",
    "hybrid_300ms": "initialised every 300 ms only",
}

_TRAINED: Final = {
    "hybrid": "the hybrid",
    "hybrid_no_init": "without state initialisation",
    "hybrid_no_delta": "without delta output",
    "snn": "the SNN alone",
}
"""The trainings that are compared; a training in several parts has names that begin alike."""


def verdict(against: Figures) -> str:
    """Say in words whether a difference of errors (in percent of the hybrid's) matters."""
    if against["low"] <= 0 <= against["high"]:
        return "makes no difference that this test can tell"
    size = abs(against["percent"])
    if size < 2:
        return "hardly matters"
    much = "matters" if size < 10 else "matters much"
    return much if against["percent"] > 0 else f"{much}, and the error is smaller this way"


def comparison(figures: Figures) -> str:
    """All models in one table, beside the paper."""
    models = figures["models"]
    rows = []
    for name in NAMES:
        if name not in models or name in RARE_MS or name in CURVE_ONLY:
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


def steps(figures: Figures, plot: str) -> str:
    """How errors grow within a window."""
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


def parts(figures: Figures) -> str:
    """The ablations, with what they say."""
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
        "told from none; below 2 % we call it hardly one, from 10 % on much."
        f"{_trained_for(figures)}\n\n" + table(heads, rows, text=(0, 1, 5))
    )


def _trained_for(figures: Figures) -> str:
    """On how many samples the networks were trained that are compared."""
    plans = figures["trained"].get("trained", {})
    samples = dict.fromkeys(_TRAINED, 0)
    for stage, plan in plans.items():
        name = max((known for known in _TRAINED if stage.startswith(known)), key=len, default="")
        if name:
            samples[name] += plan["updates"] * plan["batch"]
    if not all(samples.values()):
        return ""
    counts = ", ".join(f"{what} {samples[name] / 1e3:,.0f}" for name, what in _TRAINED.items())
    return (
        f" Not all were trained for as long; in thousands of samples, {counts}. A part of a "
        "difference may be due to that."
    )


def late(figures: Figures) -> str:
    """Errors when the ANN's answer comes late."""
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


def movements(figures: Figures, plot: str) -> str:
    """Errors of each movement."""
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


def joints(figures: Figures) -> str:
    """Errors of each joint."""
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
