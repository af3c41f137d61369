"""How many labels and folds fit into the time and memory there are; what is cut is said in words.

Shape letters: `t` fitted labels, `h` hold-out labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.features.schema import Task
from models.heads.folds import MAX_ROWS, Folds
from models.heads.prediction import IndexArray
from models.training.labels import CheckedLabels, LabelledRows
from models.training.view_features import ViewSample

ENCODER_SHARE = 0.4  # of a target's time may go into row features
FOLD_SHARE = 0.4  # and into cross-validation
MIN_FITTED = 1_000
MIN_FOLD_ROWS = 500
# Measured on one core: products of the solver per second, and how often all rows pass over the whole path.
FLOPS_PER_CORE = 8e9
PASSES = 150
MORE_TIME = "raise max_seconds to change that"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Labels that will be used."""

    fitted: LabelledRows
    holdout: LabelledRows
    num_labels: int
    warnings: tuple[str, ...]

    @property
    def rows(self) -> IndexArray:
        """Positions in the snapshot whose features are needed."""
        return np.concatenate([self.fitted.rows, self.holdout.rows])


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """Bounds on the folds."""

    max_rows: int
    max_repeats: int
    warnings: tuple[str, ...]

    def limit(self, folds: Folds | None) -> tuple[Folds | None, list[str]]:
        """The folds with no more repeats than there is time for, and a warning where that cost some."""
        if folds is None or folds.num_repeats <= self.max_repeats:
            return folds, []
        times = "once" if self.max_repeats == 1 else f"{self.max_repeats} times"
        said = f"folds were repeated {times} instead of {folds.num_repeats} times: time is short; {MORE_TIME}"
        return folds.fewer(self.max_repeats), [said]


def plan_rows(
    checked: CheckedLabels, task: Task, sample: ViewSample, seconds: float, generator: np.random.Generator
) -> Plan:
    """As many labels of a target as have their row features within its part of `seconds`, and fit into memory."""
    warnings = list(checked.warnings)
    fitted, holdout = checked.fitted, checked.holdout
    num_labels = len(fitted) + len(holdout)
    affordable = int(ENCODER_SHARE * max(seconds, 0.0) / max(sample.seconds_per_row, 1e-9))
    limit = max(MIN_FITTED, min(affordable, sample.max_rows) - len(holdout))
    if len(fitted) > limit:
        is_memory_short = sample.max_rows < affordable
        remedy = "memory for more" if is_memory_short else f"time for more; {MORE_TIME}"
        warnings.append(f"{limit:,} of {len(fitted):,} labels were fitted: there is not enough {remedy}")
        fitted = fitted.at(_draw(fitted, task, limit, generator))
    return Plan(fitted, holdout, num_labels, tuple(warnings))


def plan_folds(fitted: LabelledRows, task: Task, width: int, seconds: float) -> FoldPlan:
    """Folds that can be cross-validated on row features of this width within their part of a target's `seconds`."""
    num_outputs = 1 if task is not Task.MULTICLASS else int(fitted.labels.max()) + 1
    cells = (
        FOLD_SHARE
        * max(seconds, 0.0)
        * FLOPS_PER_CORE
        * torch.get_num_threads()
        / (4.0 * PASSES * num_outputs)
    )
    rank = max(min(len(fitted), width, MAX_ROWS), 1)
    divisions = cells / rank / max(min(len(fitted), MAX_ROWS), 1)
    max_repeats = max(1, int(divisions / 5))
    max_rows = int(np.clip(cells / (5 * rank), MIN_FOLD_ROWS, MAX_ROWS))
    if max_rows >= min(len(fitted), MAX_ROWS):
        return FoldPlan(max_rows, max_repeats, ())
    said = f"the strength was chosen on {max_rows:,} of {len(fitted):,} labels: time is short; {MORE_TIME}"
    return FoldPlan(max_rows, max_repeats, (said,))


def _draw(labels: LabelledRows, task: Task, count: int, generator: np.random.Generator) -> IndexArray:
    """`count` positions, sorted; of every class at least its first label, so that none disappears."""
    order = generator.permutation(len(labels))
    if task is not Task.REGRESSION:
        first = np.unique(labels.labels[order], return_index=True)[1]
        order = np.concatenate([order[first], np.delete(order, first)])
    return np.sort(order[:count]).astype(np.int64)
