# SPDX-License-Identifier: Apache-2.0
"""Plots of the pages on results, robustness and performance: one style, small SVG files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hybrid_pose_ros.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = {
    "ann": "#555555",
    "ann_held": "#e69f00",
    "hybrid": "#0072b2",
    "hybrid_no_init": "#cc79a7",
    "hybrid_no_delta": "#009e73",
    "hybrid_300ms": "#56b4e9",
    "snn": "#d55e00",
}
"""Colours of the models, the same on all pages."""


Plot = tuple[tuple[float, float], Callable[["Figure", Any], None], Any]


class PlotsUnavailableError(UserError):
    """The library that draws is not installed; the message says how to get it."""


def save_plots(plots: Mapping[str, Plot], folder: Path, prefix: str) -> dict[str, Path]:
    """Draw plots in the style of the project's pages into a folder, which is made.

    Args:
        plots: name -> width and height in inches, what draws, and the figures it is given.
        prefix: of the files' names.

    Returns:
        name -> file.

    Raises:
        PlotsUnavailableError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotsUnavailableError(
            "matplotlib draws the plots and is not installed; "
            "install it with `pip install -r requirements-report.txt`"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    with rc_context(
        {
            "svg.hashsalt": "hybrid_pose_ros",  # the same figures give the same file
            "font.size": 9,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    ):
        for name, (size, draw, figures) in plots.items():
            figure = Figure(size, layout="constrained")
            draw(figure, figures)
            files[name] = folder / f"{prefix}_{name}.svg"
            figure.savefig(files[name], metadata={"Date": None})
    return files


def addresses(plots: Mapping[str, Path], page: Path) -> dict[str, str]:
    """Return name -> address of each plot as a page names it."""
    return {name: path.relative_to(page.parent).as_posix() for name, path in plots.items()}
