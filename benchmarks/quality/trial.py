"""What a compared system is given and what it gives back: the same for every system, ours included.

Shape letters: `N` rows of the table, `t` training rows, `p` labelled ones, `v` validation rows, `b` rows to predict, `K`
classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.schema import TableSchema, Task

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

Predict = Callable[[pl.DataFrame], FloatArray]
"""Rows of the table's feature columns to probabilities [b, K] or values [b], row by row."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One fit. A system sees nothing of the test rows: they come later, to its `Predict`.

    `frame` holds the feature columns alone (no target, no forbidden column): numbers as Float64, categories as String,
    null where missing; all N rows, of which only `train_rows` may be looked at. `schema` says which columns are
    continuous and which categorical. `labels` [p] are those of `labelled_rows` [p]: class index or number. `classes` is
    empty for regression. `validation_rows` are there in the paper's protocol alone, with their labels; a system that
    chooses anything chooses it on them, or inside the labels where there are none. `threads`: how many to use.
    """

    table: str
    target: str
    task: Task
    classes: tuple[str, ...]
    frame: pl.DataFrame
    schema: TableSchema
    split: int
    train_rows: IndexArray
    labelled_rows: IndexArray
    labels: FloatArray
    validation_rows: IndexArray
    validation_labels: FloatArray
    seed: int
    threads: int

    @property
    def has_validation(self) -> bool:
        return len(self.validation_rows) > 0

    @property
    def categorical(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.schema.encoded if column.kind.value != "continuous")

    @property
    def continuous(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.schema.encoded if column.kind.value == "continuous")


class System(Protocol):
    """A way to make a predictor from a trial; listed in `benchmarks.quality.systems`."""

    name: str
    """As in tables and in `--systems`."""
    about: str
    """What it is, its budget and its package, in one line for the documents."""
    tasks: frozenset[Task]

    def fit(self, trial: Trial) -> Predict:
        """Fit within the trial; all randomness from `trial.seed`."""
