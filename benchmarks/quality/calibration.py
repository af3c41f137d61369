"""Whether a head's promises hold on rows it has not seen: calibration error, coverage and size of its sets or intervals.

Shape letters: `n` test rows, `K` classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.quality.trial import FloatArray, IndexArray
from models.evaluation.calibration_error import calibration_error
from models.heads.prediction import HeadPrediction

MIN_CLASS_ROWS = 40  # of fewer test rows a class's coverage says little


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """Calibration error, and the mean and 95 % point of what perfectly calibrated models show on rows alike."""

    ece: float
    ece_of_perfect: float
    ece_of_perfect_high: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SetFigures:
    """Of sets that promise `asked`: share that hold the class, of all rows and of the class that fares worst; mean number
    of classes; share of sets with a single one."""

    asked: float
    found: float
    worst_class: float
    mean_size: float
    single: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class IntervalFigures:
    """Of intervals that promise `asked`: share that hold the number, of all rows and of the fifth of predicted values that
    fares worst; mean width, plain and over the labels' standard deviation."""

    asked: float
    found: float
    worst_fifth: float
    mean_width: float
    relative_width: float

    def to_json(self) -> dict[str, float]:
        return asdict(self)


def error_figures(probabilities: FloatArray, labels: IndexArray) -> ErrorFigures:
    """Of `probabilities` [n, K] at `labels` [n]; ten bins of equal width."""
    error = calibration_error(probabilities, labels.astype(np.int64), np.ones(len(labels)))
    return ErrorFigures(error.value, error.of_perfect, error.of_perfect_high)


def set_figures(prediction: HeadPrediction, labels: IndexArray, asked: float) -> SetFigures:
    """Of a prediction made for `asked`, at `labels` [n].

    Raises: ValueError where the prediction has no sets or no rows.
    """
    in_set = prediction.in_set
    if in_set is None or len(labels) == 0:
        raise ValueError("the prediction has no sets; was the head fitted with folds?")
    labels = labels.astype(np.int64)
    hits = in_set[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=in_set.shape[1])
    judged = np.flatnonzero(counts >= MIN_CLASS_ROWS)
    by_class = [float(hits[labels == number].mean()) for number in judged]
    sizes = in_set.sum(axis=1)
    found = float(hits.mean())
    return SetFigures(
        asked, found, min(by_class, default=found), float(sizes.mean()), float((sizes == 1).mean())
    )


def interval_figures(prediction: HeadPrediction, labels: FloatArray, asked: float) -> IntervalFigures:
    """Of a prediction made for `asked`, at `labels` [n].

    Raises: ValueError where the prediction has no intervals or no rows.
    """
    interval, values = prediction.interval, prediction.value
    if interval is None or values is None or len(labels) == 0:
        raise ValueError("the prediction has no intervals; was the head fitted with folds?")
    hits = (interval[:, 0] <= labels) & (labels <= interval[:, 1])
    fifths = np.array_split(np.argsort(values, kind="stable"), min(5, len(values)))
    width = float((interval[:, 1] - interval[:, 0]).mean())
    spread = float(labels.std())
    return IntervalFigures(
        asked,
        float(hits.mean()),
        min(float(hits[fifth].mean()) for fifth in fifths),
        width,
        width / spread if spread > 0.0 else float("inf"),
    )
