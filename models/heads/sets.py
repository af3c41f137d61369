"""Conformal prediction sets: the classes that a row may well be of, at a coverage asked for.

Split by class (Mondrian; Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, section 4.5): of the rows
of a class at least the coverage asked for have it in their set. One quantile for all labels gives smaller sets that
leave rare classes out: with 500 labels of heart_2020_brfss, 9 % of them positive, 7 % of the positive rows had their
class in sets of "90 %", against 92 % here. The score is one minus the probability of the class (Sadinle, Lei &
Wasserman, arXiv 1609.00451); adding up probabilities instead (APS, RAPS) gave both classes to nearly every row of
binary targets. Scores are out of fold (cross-conformal; Vovk, arXiv 1208.0806): a head that is fitted on all labels
does a little better than those of the folds, so coverage errs upwards.

Classes with few labels share a quantile with their like, as in clustered conformal prediction (Ding et al., arXiv
2306.09335, section 2.4). With `n` labels a set can have coverage `k/(n+1)` for whole `k`: what is asked for is rounded
up to the next such step, and beyond the last one (90 % needs 9 labels, 95 % 19) the classes of the group are in every
set. The most probable class is in every set, so that none is empty.

Shape letters: `n` labels, `B` rows, `K` classes, `G` groups of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.heads.prediction import FloatArray, IndexArray

MIN_GROUP_LABELS = (
    20  # enough to promise 95 %; with 10, sets of a target of 12 classes were half as large again
)
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
    """A table for every class with enough labels; classes with few of them have one together.

    `tables` [G]; `group_of` [K] is the place of a class's table in it.
    """

    tables: tuple[ScoreTable, ...]
    group_of: tuple[int, ...]

    @classmethod
    def fit(cls, probabilities: FloatArray, labels: IndexArray, weights: FloatArray) -> ClassSets:
        """From out-of-fold `probabilities` [n, K] at `labels` [n] (class index) with positive `weights` [n]."""
        num_classes = probabilities.shape[1]
        scores = probabilities[np.arange(len(labels)), labels]
        group_of = _groups(np.bincount(labels, minlength=num_classes))
        num_groups = int(group_of.max()) + 1
        max_points = max(50, min(MAX_POINTS, MAX_CELLS // num_groups))
        tables = []
        for number in range(num_groups):
            inside = group_of[labels] == number
            tables.append(ScoreTable.fit(scores[inside], weights[inside], max_points))
        return cls(tuple(tables), tuple(group_of.tolist()))

    @property
    def max_coverage(self) -> float:
        """The largest coverage for which no class has to be in every set."""
        return min(table.max_coverage for table in self.tables)

    def thresholds(self, coverage: float) -> FloatArray:
        """Probability [K] from which each class is in the set, 0 where it always is; none grows with the coverage."""
        found = [table.threshold(coverage) for table in self.tables]
        return np.asarray([0.0 if bound is None else bound for bound in found])[list(self.group_of)]

    def contains(self, probabilities: FloatArray, coverage: float) -> npt.NDArray[np.bool_]:
        """Which classes are in the set of each row [B, K], row by row; never none."""
        found = probabilities >= self.thresholds(coverage)
        if len(found):
            found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
        return np.asarray(found)


def _groups(counts: IndexArray) -> IndexArray:
    """Group number [K] of each class with `counts` [K] labels: rare ones are gathered, the rarest first, until they have
    enough labels together, if need be with a class that would have had enough alone."""
    group_of = np.zeros(len(counts), dtype=np.int64)
    number, gathered = 0, 0
    for place in np.argsort(counts, kind="stable"):
        group_of[place] = number
        gathered += int(counts[place])
        if gathered >= MIN_GROUP_LABELS:
            number, gathered = number + 1, 0
    if gathered and number:  # too few are left over
        group_of[group_of == number] = number - 1
    return group_of
