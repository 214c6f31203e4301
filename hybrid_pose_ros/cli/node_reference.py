# SPDX-License-Identifier: Apache-2.0
"""Tables of what the nodes take and offer, made from the nodes themselves."""

import inspect
import re
from collections.abc import Iterator
from typing import Final

from hybrid_pose_ros.nodes.support.base import AUTOSTART, ManagedNode
from hybrid_pose_ros.nodes.support.node_classes import node_class
from hybrid_pose_ros.nodes.support.parameters import ParameterSpec
from hybrid_pose_ros.research.evaluation.markdown import table

_PORTS: Final = re.compile(r"(Subscribes|Publishes|Services): ((?:[^.]|\.(?!\s|$))+)\.(?=\s|$)")


def ports(node: type[ManagedNode]) -> Iterator[tuple[str, str]]:
    """Yield (kind, topics or services) as the node's docstring lists them."""
    text = " ".join(inspect.cleandoc(node.__doc__ or "").split())
    yield from _PORTS.findall(text)


def node_reference(executable: str) -> str:
    """Return the section of one node as Markdown."""
    node = node_class(executable)
    summary = inspect.cleandoc(node.__doc__ or "").partition("\n")[0]
    lines = [f"### `{executable}`", "", summary, ""]
    lines += [f"- {kind}: {what}." for kind, what in ports(node)]
    rows = [_row(spec) for spec in (*node.PARAMETERS, AUTOSTART)]
    heads = ("parameter", "default", "range", "changes", "meaning")
    return "\n".join([*lines, "", table(heads, rows, text=range(5))])


def _row(spec: ParameterSpec) -> tuple[str, ...]:
    default = f'`"{spec.default}"`' if isinstance(spec.default, str) else f"`{spec.default}`"
    span = ", ".join(f"`{choice}`" for choice in spec.choices)
    if spec.limits is not None:
        span = f"{spec.limits[0]:,.10g} to {spec.limits[1]:,.10g}"
    return f"`{spec.name}`", default, span, spec.applies, spec.description.replace("|", "\\|")
