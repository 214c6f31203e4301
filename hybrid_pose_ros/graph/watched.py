# SPDX-License-Identifier: Apache-2.0
"""The graph of a demonstration or a measurement: a recording, played to a process that watches."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from hybrid_pose_ros.graph.description import pose_graph
from hybrid_pose_ros.graph.specs import DRIVER, NodeSpec, Parameters

START_DELAY_S: Final = 1.0
"""From the moment at which all listen to events to the first packet: the other topics' time to
find each other."""


def watched_graph(
    recording: Path,
    parameters: Mapping[str, Parameters],
    share: Path,
    *,
    namespace: str,
    rate: float,
    model: Path | None,
) -> list[NodeSpec]:
    """Return nodes of one camera, none of which is started again.

    The driver waits for those who listen, and does not exit at the recording's end: what it
    reports then is heard. It is best started last: on a busy machine it would not wait long
    enough for the others to be ready.

    Args:
        recording: what is played.
        parameters: of each node that is wanted, by name, in the order in which they start.
        share: the package's share directory.
        rate: sensor seconds per host second; 0 for no limit.
        model: checkpoint; None for the shipped one.

    Raises:
        GraphError: a file is missing.
    """
    arguments = {
        "source": "recording",
        "recording": str(recording),
        "rate": str(rate),
        "model": str(model or ""),
        "namespace": namespace,
        "respawn": "false",
    }
    common: dict[str, Parameters] = {
        DRIVER: {"exit_at_end": False, "start_delay_s": START_DELAY_S}
    }
    specs = {spec.name: spec for spec in pose_graph(arguments, share)}
    return [
        replace(
            specs[name], parameters={**specs[name].parameters, **common.get(name, {}), **extra}
        )
        for name, extra in parameters.items()
    ]
