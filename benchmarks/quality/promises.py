"""Whether sets and intervals hold what they promise on rows that were not fitted, and how large they are.

Shape letters: `n` test rows, `K` classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.quality.trial import FloatArray, IndexArray

MIN_CLASS_ROWS = 40  # of fewer test rows a class's coverage says little


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


def set_figures(in_set: npt.NDArray[np.bool_], labels: IndexArray, asked: float) -> SetFigures:
    """Of sets [n, K] that promise `asked`, at `labels` [n]; n is at least 1."""
    hits = in_set[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=in_set.shape[1])
    judged = np.flatnonzero(counts >= MIN_CLASS_ROWS)
    by_class = [float(hits[labels == number].mean()) for number in judged]
    sizes = in_set.sum(axis=1)
    found = float(hits.mean())
    return SetFigures(
        asked, found, min(by_class, default=found), float(sizes.mean()), float((sizes == 1).mean())
    )


def interval_figures(
    interval: FloatArray, values: FloatArray, labels: FloatArray, asked: float
) -> IntervalFigures:
    """Of intervals [n, 2] around predicted `values` [n] that promise `asked`, at `labels` [n]; n is at least 1."""
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
