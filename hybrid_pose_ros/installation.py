# SPDX-License-Identifier: Apache-2.0
"""The place where the package is installed, and its neighbours."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from hybrid_pose_ros import PACKAGE
from hybrid_pose_ros.errors import UserError


class NotInstalledError(UserError):
    """The package is not installed; the message says how to install it."""


def find_prefix() -> Path:
    """Return the prefix that the package is installed under.

    Raises:
        NotInstalledError: the package is not installed in this environment.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    for prefix in map(Path, filter(None, prefixes)):
        if (prefix / "share" / PACKAGE / "package.xml").is_file():
            return prefix
    raise NotInstalledError(
        f"{PACKAGE} is not installed under AMENT_PREFIX_PATH or {sys.prefix}; "
        "build it with colcon and source the workspace, or `pip install` it"
    )


def share_directory(prefix: Path) -> Path:
    """Return where configuration and launch files lie."""
    return prefix / "share" / PACKAGE


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of Python and of those of the packages that are installed."""
    versions = {"python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a ROS distribution's packages are not all Python distributions
    return versions
