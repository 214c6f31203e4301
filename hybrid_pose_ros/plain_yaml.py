# SPDX-License-Identifier: Apache-2.0
"""YAML of limited depth: by aliases or nesting a small file can take for ever."""

from typing import Any, Final

import yaml

MAX_DEPTH: Final = 10

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, where PyYAML was built with it, is ten times as fast."""


def check_plain(text: str, max_values: int | None = None) -> None:
    """Check YAML before it is loaded.

    Args:
        max_values: how many keys and values there may be; None: any number.

    Raises:
        ValueError: it has aliases, is nested too deep, or has more values.
        yaml.YAMLError: it is no YAML.
    """
    depth = count = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not read; write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} times")
        count += isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if max_values is not None and count > max_values:
            raise ValueError(f"more than {max_values:,} values")


def load_plain(text: str) -> Any:
    """Load YAML; errors are those of :func:`check_plain`."""
    check_plain(text)
    return yaml.load(text, _Loader)
