# SPDX-License-Identifier: Apache-2.0
"""YAML of limited depth: by aliases or nesting a small file can take for ever."""

from typing import Any, Final

import yaml

MAX_DEPTH: Final = 10

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""That of libyaml, where PyYAML was built with it, is ten times as fast."""


def check_plain(text: str) -> None:
    """Check YAML before it is loaded.

    Raises:
        ValueError: it has aliases, or is nested too deep.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not read; write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} times")


def load_plain(text: str) -> Any:
    """Load YAML; errors are those of :func:`check_plain`."""
    check_plain(text)
    return yaml.load(text, _Loader)
