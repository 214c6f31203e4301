# SPDX-License-Identifier: Apache-2.0
"""The page of the benchmarks."""

from collections.abc import Iterator, Mapping
from typing import Any

from hybrid_pose_ros.graph.specs import CONTAINER
from hybrid_pose_ros.research.benchmark.performance_plots import NAMES
from hybrid_pose_ros.research.evaluation.dhp19_cnn import CNN_EVENTS
from hybrid_pose_ros.research.markdown import number, table


def write_page(figures: Mapping[str, Any], plots: Mapping[str, str]) -> str:
    """Return the page as Markdown.

    Args:
        figures: what :func:`~hybrid_pose_ros.research.benchmark.suite.run_suite` yielded last.
        plots: name -> place of the file, relative to the page.
    """
    return "\n\n".join(_blocks(figures, plots)) + "\n"


def _blocks(figures: Mapping[str, Any], plots: Mapping[str, str]) -> Iterator[str]:
    yield "# Performance"
    yield (
        "What a pose costs, measured beside its peers. Everything on this page was written by one "
        f"command:\n\n```sh\n{figures['command']}\n```"
    )
    yield from _environment(figures)
    for name, key, describe in (
        ("step", "step_ms", _step),
        ("ann", "ann", _ann),
        ("pose", "cpu_ms_per_pose", _pose),
        ("latency", "system", _system),
        ("scaling", "scaling", _scaling),
    ):
        if key in figures:
            heading, *blocks = describe(figures)
            yield heading
            if name in plots:
                yield f"![{heading.lstrip('# ')}]({plots[name]})"
            yield from blocks
    if "soak" in figures:
        yield from _soak(figures)
    if "memory" in figures:
        yield from _memory(figures)


def _environment(figures: Mapping[str, Any]) -> Iterator[str]:
    environment = figures["environment"]
    loads = ", ".join(f"{load:.2f}" for load in environment["load_before"])
    versions = ", ".join(f"{name} {text}" for name, text in environment["versions"].items())
    yield table(
        ("", "where it was measured"),
        [
            ("processor", environment["cpu"]),
            ("cores", str(environment["cores"])),
            ("threads of a tensor operation", str(environment["threads_per_step"])),
            ("load average before (1, 5, 15 min)", loads),
            ("system", environment["system"]),
            ("model", environment["checkpoint"]),
            ("versions", versions),
        ],
        text=(0, 1),
    )
    yield (
        "The events are those of a simulated person who walks, seen by a camera as in DHP19: "
        f"{figures['stream_mev_s']:.2f} million events per second. Times of peers are taken in "
        "turn with ours, in one process, and the factors are medians over pairs."
    )


def _step(figures: Mapping[str, Any]) -> Iterator[str]:
    step, times = figures["step"], figures["step_ms"]
    yield "## One step of the SNN"
    yield (
        f"One thread, {step['steps']} steps, initialised by the ANN every 100 ms. The peers are "
        "the same network with the same weights, BatchNorm folded, its neurons those of the "
        "library. *apart* is the share of membranes that differ from torch's by a spike ten steps "
        "after a common start."
    )
    rows = []
    for name, value in times.items():
        factor = step["step_times_engine"].get(name)
        apart = step["agreement"].get(name, {}).get("neurons_apart")
        cpu = f"{step['step_cpu_ms'][name]:.3f}"
        rows.append((NAMES[name], f"{value:.3f}", cpu, _factor(factor), _share(apart)))
    yield table(("", "ms", "CPU ms", "times ours", "apart (%)"), rows)
    yield (
        "SpikingJelly's neuron is its PLIF, Norse's its LIFBox with the reset by subtraction. "
        "snnTorch's Leaky subtracts a step later, or but once from a membrane beyond 2, so its "
        "own reset is off and the spike is subtracted after it."
    )
    for name, reason in figures["missing"].items():
        yield f"{NAMES[name]} was not measured: {reason}."


def _ann(figures: Mapping[str, Any]) -> Iterator[str]:
    ann = figures["ann"]
    yield "## The ANN in several runtimes"
    yield (
        f"One run of the ANN and the initialiser, one thread, {ann['runs']} runs of each in turn. "
        "*shift* is the mean distance of the ANN's keypoints from those of torch in float32, "
        "*state* the error of the membranes as a share of their root mean square. int8 is "
        "calibrated on inputs of the same recording. *start* is the time to build it and run it "
        "once. The node `ann` has torch and OpenVINO in float32 and bfloat16."
    )
    yield table(
        ("", "ms", "CPU ms", "times faster", "start (s)", "shift (px)", "state (%)"),
        [
            (
                NAMES[name],
                f"{value:.2f}",
                f"{ann['cpu_ms'][name]:.2f}",
                _factor(ann["times_faster"].get(name)),
                f"{ann['start_s'][name]:.1f}",
                f"{ann['shift_px'][name]:.3f}",
                _share(ann["state_error"][name]),
            )
            for name, value in ann["ms"].items()
        ],
    )
    for name, reason in ann["missing"].items():
        yield f"{NAMES[name]} was not measured: {reason}."


def _pose(figures: Mapping[str, Any]) -> Iterator[str]:
    rates = figures["pose"]
    yield "## From raw events to a pose"
    yield (
        "CPU time in one thread: decoding the packets, binning, the networks, decoding the "
        "heatmaps. The hybrid's share of its ANN, which runs at 10 Hz and whose state comes late "
        "and is replayed, is in it; so the hybrid cannot cost less than a tenth of the ANN at "
        "100 poses per second, nor less than a fiftieth at 500. The CNN is DHP19's published "
        f"architecture with random weights, on the newest {CNN_EVENTS:,} events. The plot shows "
        f"{next(iter(rates))} poses per second."
    )
    yield table(
        ("", "poses per second", "CPU ms per pose", "times ours"),
        [
            (NAMES[name], hz, f"{value:.3f}", _factor(pose["cpu_times_hybrid"].get(name)))
            for hz, pose in rates.items()
            for name, value in pose["cpu_ms_per_pose"].items()
        ],
    )


def _system(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "## The running system"
    yield (
        "Driver, SNN and ANN (10 Hz) in processes of their own, a recording at real-time speed, a "
        "packet per step. Latency runs from the publication of the packet that completed a step "
        "to the arrival of its pose in another process. *lost* counts packets that the SNN did "
        "not get and steps without a pose, *merged* the steps that were merged into later ones. "
        "The nodes, and the process that listens, ask Linux for a short scheduler slice, "
        "as nodes always do."
    )
    runs = figures["system"]
    yield _runs({f"{hz} Hz": run for hz, run in runs.items()})
    echoes = [
        f"{run['echo_p99_ms']:.2f} ms at {hz} Hz"
        for hz, run in runs.items()
        if run.get("echo_p99_ms") is not None
    ]
    if echoes:
        yield (
            "The floor, p99 of a bare echo of rclpy between two processes right after each run: "
            f"{', '.join(echoes)}."
        )
    yield "The same nodes in one process (`--one-process`), right after each of these runs:"
    together = figures["system_one_process"]
    yield _runs({f"{hz} Hz": run for hz, run in together.items()})
    nodes = sorted({name for run in runs.values() for name in run["cpu_ms_per_pose"]})
    yield "CPU time per pose (ms) in each process:"
    yield table(
        ("", *(f"`{name}`" for name in nodes), "all in one"),
        [
            (
                f"{hz} Hz",
                *(number(run["cpu_ms_per_pose"].get(name), 1, 2) for name in nodes),
                number(together[hz]["cpu_ms_per_pose"].get(CONTAINER), 1, 2),
            )
            for hz, run in runs.items()
        ],
    )


def _scaling(figures: Mapping[str, Any]) -> Iterator[str]:
    scaling = figures["scaling"]
    floor, binning, step = scaling["floor"], scaling["binning"], scaling["step"]
    yield "## Cost against events and spikes"
    yield (
        "Events at each rate are drawn from those of the walking person. *adds* are the weights "
        "that spikes add to currents in a step. The floor is the time in which this machine adds "
        f"as many ({floor['adds_per_s'] * 1e-9:.1f} billion per second from the first cache) and "
        f"copies {floor['step_bytes'] / 1e6:.1f} MB, the state and weights that a step reads and "
        f"writes ({floor['bytes_per_s'] * 1e-9:.1f} GB/s), in one thread."
    )
    heads = ("Mev/s", "events", "firing (%)", "adds (M)", "decode and bin (ms)", "step (ms)")
    yield table(
        (*heads, "floor (ms)", "step / floor"),
        [
            (
                f"{p['mev_s']:g}",
                f"{p['events']:,.0f}",
                _share(p["firing_rate"]),
                f"{p['adds'] * 1e-6:.2f}",
                f"{p['bin_ms']:.3f}",
                f"{p['step_ms']:.3f}",
                f"{p['floor_ms']:.3f}",
                f"{p['step_ms'] / p['floor_ms']:.1f}",
            )
            for p in scaling["points"]
        ],
        text=(),
    )
    yield (
        f"Decoding and binning take {binning['constant_ms']:.3f} ms per step and "
        f"{binning['slope_ns']:.2f} ns per event (R² {binning['r2']:.3f}); the step takes "
        f"{step['constant_ms']:.3f} ms and {step['slope_ns']:.3f} ns per added weight "
        f"(R² {step['r2']:.3f})."
    )
    if "overload" in scaling:
        overload = scaling["overload"]
        yield f"The running system at {overload['mev_s']:g} million events per second:"
        yield _runs({f"{overload['mev_s']:g} Mev/s": overload})


def _soak(figures: Mapping[str, Any]) -> Iterator[str]:
    yield "## Ten minutes"
    yield _runs({f"{hz} Hz": run for hz, run in figures["soak"].items()})


def _memory(figures: Mapping[str, Any]) -> Iterator[str]:
    memory = figures["memory"]
    yield "## Memory over an hour"
    yield (
        f"{memory['sensor_s'] / 60:.0f} minutes of sensor time in {memory['host_s'] / 60:.0f} "
        "minutes; resident memory of each process shortly after the start and at the end."
    )
    yield table(
        ("", "start (MB)", "end (MB)"),
        [
            (f"`{name}`", f"{held['first_mb']:.1f}", f"{held['last_mb']:.1f}")
            for name, held in memory["nodes"].items()
        ],
    )


def _runs(runs: Mapping[str, Mapping[str, Any]]) -> str:
    heads = ("", "p50 (ms)", "p99 (ms)", "p99.9 (ms)", "packets", "poses", "lost", "merged")
    return table(
        heads,
        [
            (
                name,
                *(number(run[key], 1, 2) for key in ("p50_ms", "p99_ms", "p999_ms")),
                *(f"{run[key]:,}" for key in ("published", "poses", "lost", "merged")),
            )
            for name, run in runs.items()
        ],
    )


def _factor(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
