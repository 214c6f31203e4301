# SPDX-License-Identifier: Apache-2.0
"""Reliability of a confidence: how it goes with the error."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

NEAR_PX: Final = 10.0
"""A joint found within this distance counts as found."""

BINS: Final = 10


@dataclass(frozen=True)
class Bin:
    """Joints whose confidence lies in [low, high).

    ``mean_error_px`` and ``found`` (the share within :data:`NEAR_PX`) are NaN in an empty bin.
    """

    low: float
    high: float
    count: int
    mean_confidence: float
    mean_error_px: float
    found: float


@dataclass(frozen=True)
class Reliability:
    """Confidence against error.

    Attributes:
        bins: tenths of the confidence; a confidence of 1 is in the last.
        auc: probability that a found joint has more confidence than one not found; 0.5 says that
            the confidence knows nothing. NaN if all or none are found.
        rank_correlation: Spearman's, of confidence and error; -1 is ideal.
    """

    bins: tuple[Bin, ...]
    auc: float
    rank_correlation: float

    @property
    def calibration_error(self) -> float:
        """Mean distance of confidence and share found over all joints, by bins; NaN of none.

        It is the expected calibration error of Guo et al., "On Calibration of Modern Neural
        Networks", ICML 2017.
        """
        filled = [b for b in self.bins if b.count]
        count = sum(b.count for b in filled)
        apart = sum(b.count * abs(b.mean_confidence - b.found) for b in filled)
        return apart / count if count else float("nan")


def reliability(confidence: NDArray[np.floating], error_px: NDArray[np.floating]) -> Reliability:
    """Judge the confidences of visible joints by their errors; both [n]."""
    confidence = np.asarray(confidence, np.float64)
    error_px = np.asarray(error_px, np.float64)
    found = error_px <= NEAR_PX
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for i in range(BINS):
        inside = number == i
        count = int(inside.sum())
        mean_confidence, mean_error, share = (
            float(values[inside].mean()) if count else float("nan")
            for values in (confidence, error_px, found)
        )
        bins.append(Bin(i / BINS, (i + 1) / BINS, count, mean_confidence, mean_error, share))
    hits, misses = confidence[found], confidence[~found]
    auc = correlation = float("nan")
    if hits.size and misses.size:
        auc = float(mannwhitneyu(hits, misses).statistic) / (hits.size * misses.size)
    if confidence.size and np.ptp(confidence) and np.ptp(error_px):
        correlation = float(spearmanr(confidence, error_px).statistic)
    return Reliability(tuple(bins), auc, correlation)
