# SPDX-License-Identifier: Apache-2.0
"""The layout for Foxglove names panels that it has, and topics that the nodes publish."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid_pose_ros.interfaces.topics import CLOUD, DIAGNOSTICS, MARKERS, OVERLAY, POSE

LAYOUT = json.loads((Path(__file__).parents[2] / "config" / "foxglove.json").read_text())


def panels(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
        return
    for name in ("first", "second"):
        yield from panels(part[name])


def test_every_panel_is_placed_once() -> None:
    assert sorted(panels(LAYOUT["layout"])) == sorted(LAYOUT["configById"])


def test_topics_and_fields_are_those_of_the_nodes() -> None:
    panel = LAYOUT["configById"]
    under = {topic.under("").name for topic in (OVERLAY, MARKERS, CLOUD, POSE)}
    shown = {panel["Image!overlay"]["imageMode"]["imageTopic"], *panel["3D!markers"]["topics"]}
    assert shown == {"/overlay", "/markers", "/cloud"}
    assert panel["DiagnosticSummary!nodes"]["topicToRender"] == DIAGNOSTICS.name
    fields = POSE.message_class.get_fields_and_field_types()
    for plot in ("Plot!confidence", "Plot!age"):
        topic, _, field = panel[plot]["paths"][0]["value"].partition(".")
        assert topic in under
        assert field.partition("[")[0] in fields
