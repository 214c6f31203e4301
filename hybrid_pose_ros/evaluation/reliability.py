# SPDX-License-Identifier: Apache-2.0
"""What a confidence is worth: how it goes with the error, and what it is where nothing is seen."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

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
    ranks = rankdata(confidence)
    return Reliability(tuple(bins), _auc(ranks, found), _correlation(ranks, rankdata(error_px)))


def _auc(ranks: NDArray[np.float64], found: NDArray[np.bool_]) -> float:
    """Mann and Whitney's statistic from the ranks of all."""
    hits = int(found.sum())
    misses = len(found) - hits
    if not hits or not misses:
        return float("nan")
    return float((ranks[found].sum() - hits * (hits + 1) / 2) / (hits * misses))


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    first, second = first - first.mean(), second - second.mean()
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / scale) if scale else float("nan")
