# SPDX-License-Identifier: Apache-2.0
"""A page of results from the figures of an evaluation, in Markdown.

Every number and every judgement on the page is computed from the figures.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_pose_ros.errors import UserError
from hybrid_pose_ros.research.evaluation import (
    demand_sections,
    energy_sections,
    engine_sections,
    error_sections,
)
from hybrid_pose_ros.research.evaluation.demos import Demo, demo_section
from hybrid_pose_ros.research.evaluation.gauge import FIRST_MESH_SEED, FITTED_SEED
from hybrid_pose_ros.research.evaluation.published import PUBLISHED_3D_MM
from hybrid_pose_ros.research.markdown import Figures, number, percent, px, table


class ReportError(UserError, ValueError):
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
        gauge: of `hybrid-pose research gauge`, or None.
        plots: name of a plot -> its address on the page.
        demos: runs of the whole system.
    """
    sections = [
        _beginning(figures),
        error_sections.comparison(figures),
        error_sections.steps(figures, plots["steps"]),
        error_sections.parts(figures),
        error_sections.late(figures),
        engine_sections.engine(figures),
        engine_sections.short_steps(figures),
        error_sections.movements(figures, plots["movements"]),
        error_sections.joints(figures),
        energy_sections.energy(figures, plots["energy"]),
        energy_sections.rare(figures),
        demand_sections.on_demand(figures),
        demand_sections.prediction(figures),
        energy_sections.firing(figures),
        _confidence(figures, plots["reliability"]),
        _trained(figures),
    ]
    if gauge is not None:
        sections.append(_gauge(gauge))
    if demos:
        sections.append(demo_section(demos))
    sections.append(_limits(figures))
    return "\n\n".join(sections) + "\n"


def _beginning(figures: Figures) -> str:
    test, models, relative = figures["test_set"], figures["models"], figures["relative"]
    counts = test["performances"]
    poses = sum(counts.get(kind, 0) for kind in ("movement", "mocap"))
    poses *= test["poses_per_performance"]
    hybrid, ann = models["hybrid"], models["ann"]
    lines = [
        "# Results",
        "",
        "This page is made by `hybrid-pose research report` from the figures of",
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
        [
            bodies,
            f"channel {channel.removeprefix('ch')}",
            px(value),
            number(part["mpjpe_px_spread"][channel], 1, 2),
            px(part["median_px"][channel]),
            number(part["beyond_20px"][channel], 100, 1),
        ]
        for bodies, part in gauge["by_bodies"].items()
        for channel, value in part["mpjpe_px"].items()
    ]
    heads = ("people", "", "mean (px)", "std of seeds", "median (px)", "beyond 20 px (%)")
    seeds = ", ".join(map(str, gauge["seeds"]))
    return (
        "## How real the simulated events look\n\nDHP19's published CNN, trained on real "
        f"recordings, has an error of {gauge['published_px']} px on real ones; "
        f"`{gauge['network']}` on simulated ones of the "
        f"{len(gauge['mpjpe_px_per_movement'])} movements "
        f"(`hybrid-pose research gauge`, {gauge['seconds']:g} s each, seeds {seeds}):\n\n"
        f"{table(heads, rows, (0, 1))}\n\n"
        "The ranges of the simulated sensor and the places of the markers were fitted with the "
        f"published network's help, on scenes of seed {FITTED_SEED} for capsules and of seeds "
        f"from {FIRST_MESH_SEED} on for meshes."
    )


def _limits(figures: Figures) -> str:
    test = figures["test_set"]
    people = test["people_per_movement"]
    return (
        "## Limits of this evaluation\n\n"
        "- Everything is simulated by the simulator that also made the training data. People, "
        "movements, clothes, rooms and sensors are drawn anew, but from the same "
        "distributions; real recordings differ in ways that no figure here shows.\n"
        "- The paper's figures are from other data and a larger network on a larger image; only "
        "the relations between models can be compared.\n"
        f"- {'One person' if people == 1 else f'{people} people'} for each movement, "
        f"{test['seconds_per_performance']:.1f} s long, of which the last "
        f"{test['poses_per_performance'] / 200:.1f} s count: an error per movement says little "
        "about other people. The intervals say how far the means can be trusted.\n"
        "- Errors count the joints inside the image, hidden ones included. The person is alone, "
        "the camera is fixed.\n"
        "- Energy is counted, not measured."
    )


def _performances(counts: Mapping[str, int]) -> str:
    names = {
        "movement": "performances of DHP19's 33 movements",
        "mocap": "of captured motions",
        "close": "before close-up cameras",
        "absent": "empty rooms",
        "still": "of people at rest",
    }
    parts = [f"{counts[kind]} {name}" for kind, name in names.items() if counts.get(kind)]
    return ", ".join(parts)
