"""Conformal prediction sets: the classes that a row may well be of, at a coverage asked for.

Split by class (Mondrian; Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, section 4.5): of the rows
of a class at least the coverage asked for have it in their set, where one quantile for all would let a rare class
pay for a common one. The score is one minus the probability of the class (Sadinle, Lei & Wasserman, arXiv 1609.00451,
which gives the smallest sets), out of fold (cross-conformal; Vovk, arXiv 1208.0806): a head that is fitted on all
labels does a little better than those of the folds, so coverage errs upwards. Classes with few labels share one
quantile, as in clustered conformal prediction (Ding et al., arXiv 2306.09335, section 2.4).

With `n` labels a set can have coverage `k/(n+1)` for whole `k`: what is asked for is rounded up to the next such
step, and beyond the last one (90 % needs 9 labels) the set has to hold the class always. The most probable class is
in every set, so that none is empty.

Shape letters: `n` labels, `B` rows, `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.heads.prediction import FloatArray, IndexArray

MIN_OWN_LABELS = 20  # a class with fewer shares a quantile with others
MAX_POINTS = 1_001
MAX_CELLS = 20_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Probabilities that rows of some classes had for their own class.

    Shape: `levels` [M] increasing in (0, 1); `scores` [M] not increasing. A share `levels[i]` of new rows has at least
    `scores[i]`. `num_labels` stand behind them (the effective number where labels have weights).
    """

    levels: tuple[float, ...]
    scores: tuple[float, ...]
    num_labels: float

    @classmethod
    def fit(cls, scores: FloatArray, weights: FloatArray, max_points: int = MAX_POINTS) -> ScoreTable:
        """From `scores` [n] with positive `weights` [n]; n may be 0."""
        if len(scores) == 0:
            return cls((), (), 0.0)
        order = np.argsort(-scores, kind="stable")
        scores, weights = scores[order], weights[order]
        total = weights.sum()
        effective = float(total**2 / np.square(weights).sum())
        levels = np.cumsum(weights) / total * (effective / (effective + 1.0))
        if len(levels) > max_points:
            # The far end finely: requests ask for 80 to 99.9 %. A level between two kept ones takes the larger.
            wanted = np.concatenate(
                [np.linspace(0, 1, max_points // 2), 1 - np.geomspace(1 / len(levels), 0.5, max_points // 2)]
            )
            kept = np.unique(np.round(np.append(wanted, 1.0) * (len(levels) - 1)).astype(np.int64))
            levels, scores = levels[kept], scores[kept]
        return cls(tuple(levels.tolist()), tuple(scores.tolist()), effective)

    @property
    def max_coverage(self) -> float:
        return self.num_labels / (self.num_labels + 1.0)

    def threshold(self, coverage: float) -> float | None:
        """Probability from which a class is in the set; None where the labels are too few for this coverage."""
        place = int(np.searchsorted(np.asarray(self.levels), coverage - _ROUNDING, side="left"))
        return self.scores[place] if place < len(self.levels) else None


@dataclass(frozen=True, slots=True)
class ClassSets:
    """Tables of all labels together and of every class; a class with few labels has that of its like.

    `table_of` [K] is the place of a class's table in `tables`; the first is that of all labels.
    """

    tables: tuple[ScoreTable, ...]
    table_of: tuple[int, ...]

    @classmethod
    def fit(cls, probabilities: FloatArray, labels: IndexArray, weights: FloatArray) -> ClassSets:
        """From out-of-fold `probabilities` [n, K] at `labels` [n] (class index) with positive `weights` [n]."""
        num_classes = probabilities.shape[1]
        scores = probabilities[np.arange(len(labels)), labels]
        max_points = max(50, min(MAX_POINTS, MAX_CELLS // num_classes))
        counts = np.bincount(labels, minlength=num_classes)
        is_rare = counts < MIN_OWN_LABELS
        tables = [ScoreTable.fit(scores, weights, max_points)]
        shared = is_rare[labels]
        table_of = np.zeros(num_classes, dtype=np.int64)
        if MIN_OWN_LABELS <= int(shared.sum()) < len(labels):
            table_of[is_rare] = len(tables)
            tables.append(ScoreTable.fit(scores[shared], weights[shared], max_points))
        for number in np.flatnonzero(~is_rare):
            own = labels == number
            table_of[number] = len(tables)
            tables.append(ScoreTable.fit(scores[own], weights[own], max_points))
        return cls(tuple(tables), tuple(table_of.tolist()))

    @property
    def max_coverage(self) -> float:
        """The largest coverage for which any class can be left out of a set."""
        return self.tables[0].max_coverage

    def thresholds(self, coverage: float) -> FloatArray:
        """Probability [K] from which each class is in the set, 0 where it always is; none grows with the coverage."""
        common = self.tables[0].threshold(coverage)
        found = []
        for table in self.tables:
            own = table.threshold(coverage)
            if own is None and common is not None:
                # Too few labels of its own for this promise: not stricter than all of them were seen to be.
                own = min(common, table.scores[-1])
            found.append(0.0 if own is None else own)
        return np.asarray(found)[list(self.table_of)]

    def contains(self, probabilities: FloatArray, coverage: float) -> npt.NDArray[np.bool_]:
        """Which classes are in the set of each row [B, K], row by row; never none."""
        found = probabilities >= self.thresholds(coverage)
        if len(found):
            found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
        return np.asarray(found)
