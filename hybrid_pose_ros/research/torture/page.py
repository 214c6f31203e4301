# SPDX-License-Identifier: Apache-2.0
"""The page of figures of the torture, all from what was measured."""

import os
import platform
from typing import Final

from hybrid_pose_ros.research.markdown import Figures, table
from hybrid_pose_ros.research.torture.faults import FAULTS

_BEGINNING: Final = """# Reliability

`hybrid-pose torture` starts the nodes of two simulated cameras, each in a process of its own,
injects the faults below one after the other, and then watches the graph at rest. A fault is
survived if what is named in its row follows, poses of both cameras and in space flow again within
{limit:g} s, and no process has ended that was not killed on purpose. Make this page on your own
machine with

```sh
hybrid-pose torture --minutes 10 --page reliability.md
```
"""


def write_page(figures: Figures) -> str:
    """Return the page (Markdown) of the figures of :func:`~.torture.torture`."""
    sections = [
        _BEGINNING.format(limit=figures["limit_s"]),
        _summary(figures),
        "## Faults\n",
        _faults(figures),
        "\n## Memory at rest\n",
        _memory(figures),
    ]
    return "\n".join(sections) + "\n"


def _summary(figures: Figures) -> str:
    outcomes = figures["faults"]
    lived = sum(outcome["survived"] for outcome in outcomes)
    return (
        f"Measured in {figures['minutes']:.1f} minutes on {os.cpu_count()} cores "
        f"({platform.machine()}) with a load of {figures['load']:.1f}, at {figures['rate']:g} "
        f"sensor seconds per second: **{lived} of {len(outcomes)} faults survived**, "
        f"{figures['messages']:,} messages sent and heard, {figures['packets_lost']} packets lost "
        f"in {figures['calm_seconds']:.0f} s at rest.\n"
    )


def _faults(figures: Figures) -> str:
    known = {fault.name: fault for fault in FAULTS}
    rows = []
    for outcome in figures["faults"]:
        fault = known[outcome["name"]]
        seconds = "-" if outcome["seconds"] is None else f"{outcome['seconds']:.1f}"
        answer = "yes" if outcome["survived"] else f"**no**: {outcome['trouble']}"
        rows.append([fault.name, fault.place, fault.follows, answer, seconds])
    heads = ["fault", "where", "what must follow", "survived", "poses flow after (s)"]
    return table(heads, rows, text=(0, 1, 2, 3))


def _memory(figures: Figures) -> str:
    if not figures["rss_kb_per_min"]:
        return "Not watched for long enough."
    rows = [[name, f"{growth:z.0f}"] for name, growth in figures["rss_kb_per_min"].items()]
    lines = table(["node", "resident memory grows by (KB/min)"], rows)
    return (
        f"Slope over the last part of the {figures['calm_seconds']:.0f} s after the faults. A "
        "process that a fault has ended is young then, and grows until it is warm; for the growth "
        f"in a long run use `--minutes 60` or more.\n\n{lines}"
    )
