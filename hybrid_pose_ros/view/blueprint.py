# SPDX-License-Identifier: Apache-2.0
"""How the viewer's window is divided at the start."""

import math
from collections.abc import Iterable

import rerun.blueprint as rrb

from hybrid_pose_ros.drawing import BACKGROUND
from hybrid_pose_ros.interfaces.topics import CAMERA_INFO_TYPE, POSE_3D_TYPE, POSE_TYPE, Topic
from hybrid_pose_ros.view.entities import SENSOR_TIME
from hybrid_pose_ros.view.shown_topics import camera_of

PLOTS = {
    "confidence": "confidence (mean of the joints)",
    "init_age_ms": "age of the state (ms)",
    "latency_ms": "latency (ms)",
}


def make_blueprint(topics: Iterable[Topic]) -> rrb.Blueprint:
    """Return a layout: cameras, beside them the world where it is known, below them the plots."""
    topics = list(topics)
    cameras = sorted({name for name in map(camera_of, topics) if name})
    in_world = any(topic.type in (POSE_3D_TYPE, CAMERA_INFO_TYPE) for topic in topics)
    images = [
        rrb.Spatial2DView(
            origin=f"world/{name}", contents="$origin/**", name=name, background=BACKGROUND
        )
        for name in cameras
    ]
    upper: list[rrb.View | rrb.Container] = []
    if images:
        upper.append(rrb.Grid(*images, grid_columns=math.ceil(math.sqrt(len(images)))))
    if in_world:
        # The pictures themselves would hide the skeleton from a camera's side.
        hidden = [f"- world/{name}/events" for name in cameras]
        upper.append(
            rrb.Spatial3DView(
                origin="world",
                contents=["+ world/**", *hidden],
                name="world",
                background=BACKGROUND,
            )
        )
    plots = [
        rrb.TimeSeriesView(
            origin="plots",
            contents=[f"+ plots/{name}/{plot}" for name in cameras],
            name=title,
        )
        for plot, title in PLOTS.items()
    ]
    rows: list[rrb.Container] = [rrb.Horizontal(*upper)]
    if any(topic.type == POSE_TYPE for topic in topics):
        rows.append(rrb.Horizontal(*plots))
    return rrb.Blueprint(
        rrb.Vertical(*rows, row_shares=[3, 1][: len(rows)]),
        rrb.TimePanel(state="collapsed", timeline=SENSOR_TIME),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
    )
