"""Where a compared system chooses its settings: on the validation rows of the trial, else inside its labels.

Shape letters: `p` labelled rows, `v` validation rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.quality.trial import FloatArray, IndexArray, Trial
from models.features.schema import Task


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Positions in the rows of `LabelledRows`: fitted, and judged by."""

    fitted: IndexArray
    judged: IndexArray


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """The labelled rows, then the validation rows. Shape: `rows`, `labels` [p + v]."""

    rows: IndexArray
    labels: FloatArray
    num_labelled: int
    task: Task
    seed: int

    @classmethod
    def of(cls, trial: Trial) -> LabelledRows:
        return cls(
            np.concatenate([trial.labelled_rows, trial.validation_rows]).astype(np.int64),
            np.concatenate([trial.labels, trial.validation_labels]),
            len(trial.labelled_rows),
            trial.task,
            trial.seed,
        )

    @property
    def has_validation(self) -> bool:
        return len(self.rows) > self.num_labelled

    @property
    def labelled(self) -> IndexArray:
        """Positions of the rows that a chosen setting is fitted to."""
        return np.arange(self.num_labelled)

    def folds(self, num_folds: int) -> list[Split]:
        """Cross-validation inside the labels, stratified; with validation rows the one split that judges by them."""
        if self.has_validation:
            return [self._by_validation()]
        fold = self._dealt(num_folds)
        splits = [Split(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(num_folds)]
        return [split for split in splits if len(split.judged) > 0]

    def holdout(self, fraction: float) -> Split:
        """One split of the labels, stratified, at least one row judged; by the validation rows where there are any."""
        return self._by_validation() if self.has_validation else self.folds(round(1.0 / fraction))[0]

    def judges_all_classes(self, split: Split) -> bool:
        """Whether each class of the fitted rows is among the judged ones: what an area under a curve needs."""
        return set(self.labels[split.fitted]) <= set(self.labels[split.judged])

    def _by_validation(self) -> Split:
        return Split(self.labelled, np.arange(self.num_labelled, len(self.rows)))

    def _dealt(self, num_folds: int) -> IndexArray:
        """Fold of each labelled row; -1, never judged, for the only row of a class: every fold fits every class.

        Each class is dealt from the first fold on, so that it judges every class with two members.
        """
        generator = np.random.default_rng(self.seed)
        labels = self.labels[: self.num_labelled]
        strata = np.zeros(len(labels)) if self.task is Task.REGRESSION else labels
        fold = np.full(len(labels), -1, dtype=np.int64)
        for stratum in np.unique(strata):
            rows = generator.permutation(np.flatnonzero(strata == stratum))
            if len(rows) > 1:
                fold[rows] = np.arange(len(rows)) % num_folds
        return fold
