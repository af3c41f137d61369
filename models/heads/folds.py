"""Division of labelled rows into folds: stratified, repeated when labels are few, groups kept together.

Shape letters: `n` labelled rows, `m` rows that take part, `R` repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.features.schema import Task
from models.heads.prediction import FloatArray, IndexArray

MAX_ROWS = 20_000  # the strength is known well enough from these; more rows only cost time
NUM_FOLDS = 5
# With few labels one division decides too much; (fewer labels than, repeats).
REPEATS = ((60, 8), (150, 4), (400, 2))


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Shape: `rows` [m], sorted positions among the labelled rows; `assignment` [R, m], fold number of each.

    `has_groups`: rows that belong together share a fold.
    """

    rows: IndexArray
    assignment: npt.NDArray[np.int8]
    num_folds: int
    has_groups: bool = False

    @property
    def num_repeats(self) -> int:
        return len(self.assignment)

    def fewer(self, num_repeats: int) -> Folds:
        """The same folds with the first repeats only."""
        return replace(self, assignment=self.assignment[:num_repeats])

    def training_masks(self) -> npt.NDArray[np.bool_]:
        """[m, R · num_folds]: whether a row trains the model of a division; repeats outermost."""
        numbers = np.arange(self.num_folds)
        return np.concatenate([row[:, None] != numbers for row in self.assignment], axis=1)


def divide(
    labels: FloatArray,
    task: Task,
    *,
    generator: np.random.Generator,
    groups: IndexArray | None = None,
    max_rows: int = MAX_ROWS,
) -> Folds | None:
    """Folds for labels [n] (class index or number), or None where they are too few to judge anything.

    Classification needs two classes with two labels each (in different groups), regression two labels.
    """
    strata = labels.astype(np.int64) if task is not Task.REGRESSION else None
    rows = _sample(labels, strata, max_rows, generator)
    chosen = labels[rows]
    chosen_groups = None if groups is None else np.unique(groups[rows], return_inverse=True)[1]
    num_folds = _num_folds(chosen, task, chosen_groups)
    if num_folds < 2:
        return None
    num_repeats = next((repeats for bound, repeats in REPEATS if len(rows) < bound), 1)
    order_key = chosen if strata is None else strata[rows].astype(np.float64)
    repeats = [
        _deal(order_key, num_folds, task, generator)
        if chosen_groups is None
        else _deal_groups(order_key, chosen_groups, num_folds, task, generator)
        for _ in range(num_repeats)
    ]
    if chosen_groups is not None and task is not Task.REGRESSION:
        # Large groups may leave all of a class in one fold.
        repeats = [folds for folds in repeats if _leaves_two_classes(folds, order_key, num_folds)]
    if not repeats:
        return None
    return Folds(rows, np.stack(repeats).astype(np.int8), num_folds, chosen_groups is not None)


def _sample(
    labels: FloatArray, strata: IndexArray | None, max_rows: int, generator: np.random.Generator
) -> IndexArray:
    """At most `max_rows` positions, sorted; every class keeps its share and at least 50 labels, if it has them."""
    if len(labels) <= max_rows:
        return np.arange(len(labels), dtype=np.int64)
    if strata is None:
        return np.sort(generator.choice(len(labels), max_rows, replace=False)).astype(np.int64)
    counts = np.bincount(strata)
    wanted = np.minimum(counts, np.maximum(np.floor(counts * (max_rows / len(labels))), 50)).astype(np.int64)
    parts = [
        generator.choice(np.flatnonzero(strata == number), count, replace=False)
        for number, count in enumerate(wanted)
        if count
    ]
    return np.sort(np.concatenate(parts)).astype(np.int64)


def _num_folds(labels: FloatArray, task: Task, groups: IndexArray | None) -> int:
    units = len(labels) if groups is None else int(groups.max()) + 1 if len(groups) else 0
    if task is Task.REGRESSION:
        return min(NUM_FOLDS, units)
    classes = labels.astype(np.int64)
    if groups is None:
        counts = np.bincount(classes)
    else:
        pairs = np.unique(np.stack([classes, groups], axis=1), axis=0)
        counts = np.bincount(pairs[:, 0])
    # With as many folds as the second most common class has labels, every training part has two classes.
    second = int(np.sort(counts)[-2]) if len(counts) > 1 else 0
    return min(NUM_FOLDS, second, units)


def _leaves_two_classes(assignment: IndexArray, classes: FloatArray, num_folds: int) -> bool:
    return all(len(np.unique(classes[assignment != number])) > 1 for number in range(num_folds))


def _deal(order_key: FloatArray, num_folds: int, task: Task, generator: np.random.Generator) -> IndexArray:
    """Deals rows out in the order of their label, like cards: every fold gets its share of every class."""
    order = np.lexsort((generator.random(len(order_key)), order_key))
    ranks = np.arange(len(order))
    if task is Task.REGRESSION:
        # Within each round the folds are drawn in random order, so that no fold always gets the smallest label.
        # Not for classes: two labels of one class in different rounds could then land in one fold.
        ranks = np.lexsort((generator.random(len(order)), ranks // num_folds))
    assignment = np.empty(len(order), dtype=np.int64)
    assignment[order[ranks]] = np.arange(len(order)) % num_folds
    return assignment


def _deal_groups(
    order_key: FloatArray, groups: IndexArray, num_folds: int, task: Task, generator: np.random.Generator
) -> IndexArray:
    """Whole groups, large ones first, each to the fold that lacks most of what the group has."""
    if task is Task.REGRESSION:
        edges = np.quantile(order_key, [0.2, 0.4, 0.6, 0.8])
        strata = np.searchsorted(edges, order_key, side="right")
    else:
        strata = order_key.astype(np.int64)
    num_groups = int(groups.max()) + 1
    contents = np.zeros((num_groups, int(strata.max()) + 1))
    np.add.at(contents, (groups, strata), 1.0)
    totals = contents.sum(axis=0)
    share = np.where(totals > 0, totals, 1.0)
    filled = np.zeros((num_folds, contents.shape[1]))
    fold_of_group = np.empty(num_groups, dtype=np.int64)
    order = np.lexsort((generator.random(num_groups), -contents.sum(axis=1)))
    for group in order:
        fullness = (filled / share) @ (contents[group] > 0)
        fold = int(np.lexsort((filled.sum(axis=1), fullness))[0])
        fold_of_group[group] = fold
        filled[fold] += contents[group]
    return fold_of_group[groups]
