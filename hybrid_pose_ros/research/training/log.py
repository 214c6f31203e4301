# SPDX-License-Identifier: Apache-2.0
"""Where a training stands, for people: a table of results, and TensorBoard."""

import csv
import time
from dataclasses import dataclass
from pathlib import Path

from hybrid_pose_ros.errors import UserError

RESULTS = "results.csv"
"""The table in the folder of a run: one row per report of any stage."""


class LogError(UserError):
    """Reports cannot be written; the message names the remedy."""


@dataclass(frozen=True)
class Report:
    """Where a stage stands: the mean loss since the last report, and the validation's figures.

    Attributes:
        update: number of optimiser updates so far.
        loss: mean over the updates since the last report.
        samples_per_s: training speed since then, without validation.
        validation: figure -> value; errors in pixels end in ``_px``.
    """

    update: int
    loss: float
    samples_per_s: float
    validation: dict[str, float]


class RunLog:
    """Appends reports to ``results.csv`` (long form) and to TensorBoard's files in ``events/``.

    Args:
        folder: of the training run; made if need be.

    Raises:
        LogError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise LogError(
                "training logs to TensorBoard, which is not installed: pip install tensorboard"
            ) from error
        folder.mkdir(parents=True, exist_ok=True)
        self._table = folder / RESULTS
        self._writer = SummaryWriter(str(folder / "events"))  # type: ignore[no-untyped-call]

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()  # type: ignore[no-untyped-call]

    def add(self, name: str, report: Report) -> None:
        """Log a report of the training called ``name``."""
        figures = {
            "loss": report.loss,
            "samples_per_s": report.samples_per_s,
            **report.validation,
        }
        new = not self._table.is_file()
        with self._table.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            if new:
                rows.writerow(("time", "training", "update", "figure", "value"))
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S")
            rows.writerows(
                (stamp, name, report.update, figure, f"{value:.6g}")
                for figure, value in figures.items()
            )
        for figure, value in figures.items():
            self._writer.add_scalar(f"{name}/{figure}", value, report.update)  # type: ignore[no-untyped-call]
        self._writer.flush()  # type: ignore[no-untyped-call]
