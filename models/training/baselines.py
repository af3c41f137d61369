"""What the same labels give without the encoder: a linear model on raw features, and boosted trees.

Both see the same rows, the same folds and the same view as the head they stand beside.

Shape letters: `n` fitted rows, `m` rows in folds, `h` hold-out rows, `K` classes, `F` row features, `C` columns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from models.features.schema import ColumnKind, ColumnSchema, Task
from models.heads.folds import Folds
from models.heads.linear import LinearHeadConfig
from models.heads.prediction import FloatArray, RowFeaturesPass
from models.heads.problem import HeadProblem, Pace
from models.heads.scaling import FeatureScaling

NUM_ROUNDS = 100
LEARNING_RATE = 0.05
NUM_LEAVES = 15
MAX_TREES = 2_000  # rounds times classes
MAX_BOOSTED_ROWS = 100_000
CHECK_EVERY = 10


@dataclass(frozen=True, slots=True, eq=False)
class BaselineOutputs:
    """Shape: `out_of_fold` [m, K] or [m], None without folds; `holdout` [h, K] or [h], None without hold-out rows."""

    out_of_fold: FloatArray | None
    holdout: FloatArray | None
    warnings: tuple[str, ...] = ()


def linear_baseline(
    problem: HeadProblem, raw: npt.NDArray[np.bool_], holdout: torch.Tensor
) -> BaselineOutputs:
    """The linear head's own procedure on the raw features alone; `raw` [F] marks them, `holdout` is [h, F].

    Raises:
        Interrupted: the caller asked to stop.
    """
    index = torch.from_numpy(np.flatnonzero(raw))
    scaling = FeatureScaling(problem.scaling.centre[index], problem.scaling.gain[index])
    fit = LinearHeadConfig().fit(
        replace(problem, features=problem.features.index_select(1, index), scaling=scaling)
    )
    if not len(holdout):
        return BaselineOutputs(fit.out_of_fold, None)
    (product,) = fit.head.needs
    assert isinstance(product, RowFeaturesPass)  # of the linear head
    logits = torch.nn.functional.linear(holdout.index_select(1, index), product.weight, product.bias)
    return BaselineOutputs(fit.out_of_fold, fit.head.finish((logits,)).outputs)


@dataclass(frozen=True, slots=True, eq=False)
class RawColumns:
    """Columns as trees want them. Shape: `values` float64 [B, C], NaN where missing; `categorical` positions."""

    values: FloatArray
    categorical: tuple[int, ...]

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Sequence[ColumnSchema]) -> RawColumns:
        """From the rows of `frame`; categories are numbered over all of them, without their labels."""
        categorical = tuple(i for i, column in enumerate(columns) if column.kind is not ColumnKind.CONTINUOUS)
        values = [
            _ranks(frame[column.name]) if i in categorical else _numbers(frame[column.name])
            for i, column in enumerate(columns)
        ]
        table = np.stack(values, axis=1) if values else np.zeros((len(frame), 1))
        return cls(table, categorical)


def _numbers(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().astype(np.float64)


def _ranks(column: pl.Series) -> FloatArray:
    ranks = column.cast(pl.String).rank("dense").cast(pl.Float64) - 1.0
    return ranks.fill_null(float("nan")).to_numpy().astype(np.float64)


def min_child_samples(num_labels: int) -> int:
    """A twentieth of the labels, between 2 and 20.

    LightGBM's fixed 20 gives a constant below 40 labels. A twentieth without a bound would make it blunt with many: on
    19,442 house prices a leaf of 972 rows gave R² .71.
    """
    return min(max(2, num_labels // 20), 20)


class BoostedBaseline:
    """LightGBM at fixed, ordinary settings on the raw columns.

    `columns` [n + h, C] has the fitted rows first, then the hold-out rows.
    """

    def __init__(self, problem: HeadProblem, columns: RawColumns, *, seed: int, num_threads: int) -> None:
        self._problem, self._columns = problem, columns
        self._seed, self._num_threads = seed, num_threads
        self._num_classes = len(problem.classes) if problem.classes is not None else 0

    def fit(self, pace: Pace) -> BaselineOutputs | str:
        """Outputs, or the reason why there was no time for them.

        Raises:
            Interrupted: the caller asked to stop.
        """
        problem, folds = self._problem, self._problem.folds
        num_rows = len(problem.labels)
        warnings: list[str] = []
        out_of_fold: FloatArray | None = None
        if folds is not None:
            found = self._fit_folds(folds, pace)
            if isinstance(found, str):
                return found
            out_of_fold, warnings = found
        holdout: FloatArray | None = None
        if len(self._columns.values) > num_rows:
            rows = np.arange(num_rows)
            if num_rows > MAX_BOOSTED_ROWS:
                rows = np.sort(
                    np.random.default_rng(self._seed).choice(rows, MAX_BOOSTED_ROWS, replace=False)
                )
            holdout = self._fit_one(rows, pace)(self._columns.values[num_rows:])
        return BaselineOutputs(out_of_fold, holdout, tuple(warnings))

    def _fit_folds(self, folds: Folds, pace: Pace) -> tuple[FloatArray, list[str]] | str:
        """Mean over repeats of the outputs [m, K] or [m]; fewer repeats where time is short."""
        total = np.zeros((len(folds.rows), self._num_classes)[: 2 if self._num_classes else 1])
        num_done = 0
        for repeat, assignment in enumerate(folds.assignment):
            started = time.monotonic()
            for fold in range(folds.num_folds):
                held_out = assignment == fold
                predict = self._fit_one(folds.rows[~held_out], pace)
                total[held_out] += predict(self._columns.values[folds.rows[held_out]])
                took = (time.monotonic() - started) / (fold + 1)
                if repeat == 0 and took * (folds.num_folds - fold - 1) > pace.seconds_left:
                    return (
                        f"it would have taken about {took * folds.num_folds:.0f} s, more than there was left"
                    )
            num_done += 1
            if took * folds.num_folds > pace.seconds_left:
                break
        warnings = []
        if num_done < folds.num_repeats:
            warnings.append(
                f"LightGBM saw {num_done} of {folds.num_repeats} repeats of the folds: time was short"
            )
        return total / num_done, warnings

    def _fit_one(self, rows: npt.NDArray[np.int64], pace: Pace) -> Callable[[FloatArray], FloatArray]:
        problem = self._problem
        labels, weights = problem.labels[rows], problem.weights[rows]
        present = np.unique(labels) if problem.task is not Task.REGRESSION else labels
        if problem.task is Task.MULTICLASS and len(present) < self._num_classes:
            return self._fit_present(rows, present, pace)
        return self._train(rows, labels, weights, self._num_classes, pace)

    def _fit_present(
        self, rows: npt.NDArray[np.int64], present: FloatArray, pace: Pace
    ) -> Callable[[FloatArray], FloatArray]:
        """A fold without some class: trees of the others, half a label's probability for the absent ones."""
        labels = np.searchsorted(present, self._problem.labels[rows]).astype(np.float64)
        inner = self._train(rows, labels, self._problem.weights[rows], len(present), pace)
        absent = self._num_classes - len(present)
        rest = 0.5 / (len(rows) + 0.5 * absent)

        def predict(values: FloatArray) -> FloatArray:
            outputs = np.full((len(values), self._num_classes), rest)
            outputs[:, present.astype(np.int64)] = inner(values) * (1.0 - absent * rest)
            return outputs

        return predict

    def _train(
        self,
        rows: npt.NDArray[np.int64],
        labels: FloatArray,
        weights: FloatArray,
        num_classes: int,
        pace: Pace,
    ) -> Callable[[FloatArray], FloatArray]:
        parameters, num_rounds = boosting_parameters(
            self._problem.task, len(rows), num_classes, seed=self._seed, num_threads=self._num_threads
        )
        import lightgbm  # takes a second to import, of which the API process has no use

        dataset = lightgbm.Dataset(
            self._columns.values[rows],
            labels,
            weight=weights,
            categorical_feature=list(self._columns.categorical),
            params=parameters,
        )

        def check(state: Any) -> None:
            if state.iteration % CHECK_EVERY == 0:
                pace.check()

        booster = lightgbm.train(parameters, dataset, num_rounds, callbacks=[check])

        def predict(values: FloatArray) -> FloatArray:
            found = np.asarray(booster.predict(values, num_threads=self._num_threads), dtype=np.float64)
            return np.stack([1.0 - found, found], axis=1) if self._problem.task is Task.BINARY else found

        return predict


def boosting_parameters(
    task: Task, num_labels: int, num_classes: int, *, seed: int, num_threads: int
) -> tuple[dict[str, Any], int]:
    """LightGBM parameters and number of rounds; deterministic for a seed and a number of threads."""
    smallest = min_child_samples(num_labels)
    parameters: dict[str, Any] = {
        "objective": {Task.BINARY: "binary", Task.MULTICLASS: "multiclass", Task.REGRESSION: "regression"}[
            task
        ],
        "learning_rate": LEARNING_RATE,
        "num_leaves": NUM_LEAVES,
        "min_data_in_leaf": smallest,
        "min_data_per_group": smallest,  # the default of 100 makes few labels blind to categories
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed % (1 << 31),
        "num_threads": num_threads,
        "verbosity": -1,
    }
    num_rounds = NUM_ROUNDS
    if task is Task.MULTICLASS:
        parameters["num_class"] = num_classes
        num_rounds = max(10, min(NUM_ROUNDS, MAX_TREES // num_classes))
    return parameters, num_rounds
