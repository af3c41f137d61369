"""What charts of a judged head show: calibration, confusion, predicted against observed.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.evaluation.judged import FloatArray, IndexArray

NUM_BINS = 10
MIN_ROWS_PER_BIN = 10
MAX_POINTS = 600
_Z = 1.959964


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """`num_rows` rows of near probability: its mean, the weighted share of outcomes, and a 95 % interval (Wilson)."""

    predicted: float
    observed: float
    low: float
    high: float
    num_rows: int


def calibration_bins(
    probabilities: FloatArray, outcomes: npt.NDArray[np.bool_], weights: FloatArray
) -> list[CalibrationBin]:
    """Bins of equal numbers of rows, at most ten; rows of one probability stay together. All arguments are [n]."""
    count = len(probabilities)
    if count == 0:
        return []
    num_bins = max(1, min(NUM_BINS, count // MIN_ROWS_PER_BIN))
    edges = np.unique(np.quantile(probabilities, np.linspace(0, 1, num_bins + 1)[1:-1]))
    place = np.searchsorted(edges, probabilities, side="right")
    bins = []
    for number in np.unique(place):
        inside = place == number
        weight = weights[inside]
        if weight.sum() <= 0.0:
            continue
        observed = float(np.average(outcomes[inside], weights=weight))
        low, high = share_interval(observed, weight)
        predicted = float(np.average(probabilities[inside], weights=weight))
        bins.append(CalibrationBin(predicted, observed, low, high, int(inside.sum())))
    return bins


def share_interval(share: float, weights: FloatArray) -> tuple[float, float]:
    """95 % interval of a weighted share of rows with `weights` [n], as of so many rows as they are worth."""
    return _wilson(share, float(weights.sum() ** 2 / np.square(weights).sum()))


def _wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson, JASA 22 (1927)."""
    spread = _Z * _Z / count
    centre = (share + spread / 2) / (1 + spread)
    reach = _Z / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, min(share, centre - reach)), min(1.0, max(share, centre + reach))


def confusion_counts(labels: FloatArray, decided: IndexArray, num_classes: int) -> npt.NDArray[np.int64]:
    """Rows per (true, decided) class [K, K], unweighted."""
    cells = labels.astype(np.int64) * num_classes + decided
    return np.bincount(cells, minlength=num_classes * num_classes).reshape(num_classes, num_classes)


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Of intervals or sets that promise `asked`, the share `found` that hold the label, and their mean width or size."""

    asked: float
    found: float
    size: float


def interval_coverage(
    asked: float, labels: FloatArray, intervals: FloatArray, weights: FloatArray
) -> CoveragePoint:
    """`intervals` [n, 2] for `labels` [n]."""
    is_inside = (intervals[:, 0] <= labels) & (labels <= intervals[:, 1])
    widths = intervals[:, 1] - intervals[:, 0]
    return CoveragePoint(
        asked, float(np.average(is_inside, weights=weights)), float(np.average(widths, weights=weights))
    )


def set_coverage(
    asked: float, labels: FloatArray, in_set: npt.NDArray[np.bool_], weights: FloatArray
) -> CoveragePoint:
    """`in_set` [n, K] for `labels` [n]."""
    is_inside = in_set[np.arange(len(labels)), labels.astype(np.int64)]
    return CoveragePoint(
        asked,
        float(np.average(is_inside, weights=weights)),
        float(np.average(in_set.sum(axis=1), weights=weights)),
    )


def spread_sample(values: FloatArray, count: int = MAX_POINTS) -> npt.NDArray[np.int64]:
    """At most `count` positions of `values` [n], evenly over their ranks, so that both ends are among them."""
    order = np.argsort(values, kind="stable")
    if len(order) <= count:
        return np.asarray(order, dtype=np.int64)
    return np.asarray(order[np.round(np.linspace(0, len(order) - 1, count)).astype(np.int64)], dtype=np.int64)
