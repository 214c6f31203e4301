# SPDX-License-Identifier: Apache-2.0
"""The version of the package, which stands in package.xml alone."""

import os
import sys
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from hybrid_pose_ros import PACKAGE


def package_version() -> str:
    """Return the version of this package.

    It is that of package.xml beside the sources, of the package that pip installed, or of the
    package.xml that colcon installed.

    Raises:
        RuntimeError: there is none of these.
    """
    sources = Path(__file__).parents[1] / "package.xml"
    if sources.is_file():
        return _version_in(sources)
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        pass
    for prefix in [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]:
        installed = Path(prefix, "share", PACKAGE, "package.xml")
        if prefix and installed.is_file():
            return _version_in(installed)
    raise RuntimeError(f"{PACKAGE} is not installed; build it with colcon or `pip install` it")


def _version_in(manifest: Path) -> str:
    text = ElementTree.parse(manifest).findtext("version")
    if text is None:
        raise RuntimeError(f"{manifest}: no <version>")
    return text
