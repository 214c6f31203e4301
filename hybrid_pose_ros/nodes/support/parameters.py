# SPDX-License-Identifier: Apache-2.0
"""Parameters of a node as a table: name, default, meaning with unit, limits.

A parameter applies at once (`live`), when the model is next loaded (`reloads`), or when the node
is next configured; setting one of the last kind on a configured node is refused with the reason
instead of being ignored.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException, ParameterUninitializedException
from rclpy.node import Node
from rclpy.parameter import Parameter

Value = bool | int | float | str | list[int]


@dataclass(frozen=True)
class ParameterSpec:
    """One parameter of a node.

    Attributes:
        default: its type is the parameter's type.
        description: what it does, with its unit.
        limits: smallest and largest value, both allowed; numbers only.
        choices: the values allowed; strings only.
        live: a change applies at once, in any state of the node.
        reloads: a change applies at the service ~/reload, or when the node is next configured.
        read_only: can only be given at start.
    """

    name: str
    default: Value
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    reloads: bool = False
    read_only: bool = False

    @property
    def applies(self) -> str:
        """When a change takes effect, in words."""
        if self.read_only:
            return "at start"
        return "live" if self.live else "at ~/reload" if self.reloads else "when configured"

    def descriptor(self) -> ParameterDescriptor:
        """Return what `ros2 param describe` shows."""
        description = ParameterDescriptor(
            description=self.description,
            read_only=self.read_only,
            additional_constraints=f"one of: {', '.join(self.choices)}" if self.choices else "",
        )
        if self.limits is None:
            return description
        low, high = self.limits
        if isinstance(self.default, float):
            description.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
        else:
            description.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        return description


def declare_parameters(
    node: Node,
    specs: Iterable[ParameterSpec],
    configured: Callable[[], bool],
    objection: Callable[[str, Value], str],
) -> None:
    """Declare the parameters and guard their changes.

    Args:
        configured: says whether the node is configured, that is, whether a parameter that is not
            live would be ignored.
        objection: says what speaks against a value of a live parameter beyond its limits, or
            nothing.

    Raises:
        rclpy.exceptions.ParameterException: a value given at start has the wrong type or is not
            allowed; the message names the parameter and the limits.
    """
    table = {spec.name: spec for spec in specs}

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            spec = table.get(parameter.name)
            if spec is None:
                continue
            if spec.choices and parameter.value not in spec.choices:
                return SetParametersResult(
                    successful=False,
                    reason=f"{spec.name} must be one of {', '.join(spec.choices)}, "
                    f"not {parameter.value!r}",
                )
            if spec.live and (reason := objection(spec.name, parameter.value)):
                return SetParametersResult(successful=False, reason=reason)
            if not (spec.live or spec.reloads) and configured():
                return SetParametersResult(
                    successful=False,
                    reason=f"{spec.name} applies when the node is configured: "
                    "clean the node up first (ros2 lifecycle set <node> cleanup)",
                )
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    for spec in table.values():
        node.declare_parameter(spec.name, spec.default, spec.descriptor())
        try:
            node.get_parameter(spec.name)
        except ParameterUninitializedException as error:
            raise ParameterException(
                f"no value, or an empty list, instead of one such as {spec.default!r}", spec.name
            ) from error
