# SPDX-License-Identifier: Apache-2.0
"""The parts of the page of results about the ANN on demand and about predicted poses."""

from typing import Any, Final

from hybrid_pose_ros.research.evaluation.demand import DAY
from hybrid_pose_ros.research.evaluation.results_plots import NAMES
from hybrid_pose_ros.research.markdown import Figures, px, table

_KINDS: Final = {
    "movement": "33 movements",
    "mocap": "captured",
    "still": "at rest",
    "absent": "nobody there",
    "day": "a day",
}


def on_demand(figures: Figures) -> str:
    """Error against the mean rate of the ANN, at fixed rates and on demand."""
    rows = []
    for entry in figures["ann_rate_curve"]:
        row = [NAMES[entry["model"]] if entry["model"] != "hybrid" else "hybrid, every 100 ms"]
        for kind in _KINDS:
            row += _cells(entry[kind], kind)
        rows.append(row)
    heads = ["", *(head for kind, name in _KINDS.items() for head in _heads(kind, name))]
    shares = ", ".join(f"{100 * share:.0f} % {_KINDS[kind]}" for kind, share in DAY.items())
    return (
        "## The ANN when it is needed\n\nWith `auto_rate` the SNN asks for the ANN as soon as the "
        "joints have moved so far that its pose may have drifted away, and at least once a "
        f"second. Runs of the ANN per second and error in px; *a day*: {shares}, with the power "
        "saved against the ANN at every step by the paper's proxy. Without motion the ANN's "
        "answers get worse the longer it lasts, for it sees few events, and the SNN keeps what "
        "it has.\n\n" + table(heads, rows)
    )


def _heads(kind: str, name: str) -> list[str]:
    return [
        f"{name}: ANN (Hz)",
        *([] if kind == "absent" else ["error (px)"]),
        *(["saved (%)"] if kind == "day" else []),
    ]


def _cells(figures: Any, kind: str) -> list[str]:
    if figures is None:
        return [""] * len(_heads(kind, ""))
    return [
        f"{figures['ann_hz']:.2f}",
        *([] if kind == "absent" else [px(figures["mpjpe_px"])]),
        *([f"{figures['saved_paper']:.1f}"] if kind == "day" else []),
    ]


def prediction(figures: Figures) -> str:
    """Errors of poses that are predicted, beside the same poses held."""
    base = figures["models"]["hybrid_engine"]["mpjpe_px"]
    rows = []
    for ahead, found in figures["prediction"].items():
        lost = [found["held_px"] - base, found["predicted_px"] - base]
        rows.append(
            [
                ahead.replace("ms", " ms"),
                px(found["held_px"]),
                px(found["predicted_px"]),
                f"{100 * lost[1] / lost[0]:.0f}" if lost[0] > 0 else "",
            ]
        )
    heads = ("ahead", "held (px)", "predicted (px)", "of what holding loses (%)")
    return (
        "## Ahead of the events\n\nPoses of some time ago against where the joints are now, on "
        "the 33 movements: as they were, and moved on with the joints' velocities as "
        f"`predict_ms` does. Without any delay the error is {px(base)} px.\n\n"
        + table(heads, rows)
    )
