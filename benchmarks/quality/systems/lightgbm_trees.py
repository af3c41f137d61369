"""LightGBM, tuned inside the labels and at fixed settings; never at its default smallest leaf, which sees few labels as one.

Shape letters: `p` labelled rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import quiet
from benchmarks.quality.systems.inner_splits import LabelledRows, Split
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

LEARNING_RATE = 0.05
NUM_FOLDS = 5
MANY = 2_000
"""Labels above which one fifth of them judges, instead of five folds, and trees may be larger and more."""
FEW_LEAVES, FEW_SHARES, FEW_ROUNDS = (4, 8, 16, 31), (0.01, 0.02, 0.05), 300
MANY_LEAVES, MANY_SMALLEST, MANY_ROUNDS = (15, 31, 63), (5, 20, 100), 1_500
PATIENCE = 50
FIXED_LEAVES, FIXED_ROUNDS = 15, 100


@dataclass(frozen=True, slots=True)
class Setting:
    num_leaves: int
    min_child_samples: int


class LightGBMSystem:
    name = "lightgbm"
    about = (
        f"LightGBM, leaves × smallest leaf × up to {FEW_ROUNDS} rounds at rate {LEARNING_RATE} by {NUM_FOLDS}-fold "
        f"cross-validation; over {MANY:,} labels up to {MANY_ROUNDS:,} rounds by a fifth of them"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        columns, rows = FittedColumns.of(trial), LabelledRows.of(trial)
        values = columns.for_trees(trial.frame[rows.rows])
        num_labels = rows.num_labelled
        if num_labels <= MANY:
            shares = sorted({max(2, round(share * num_labels)) for share in FEW_SHARES})
            settings = [Setting(*pair) for pair in itertools.product(FEW_LEAVES, shares)]
            splits, max_rounds = rows.folds(NUM_FOLDS), FEW_ROUNDS
        else:
            settings = [Setting(*pair) for pair in itertools.product(MANY_LEAVES, MANY_SMALLEST)]
            splits, max_rounds = [rows.holdout(0.2)], MANY_ROUNDS
        metric = _metric(rows, splits)
        best: tuple[float, int, Setting] | None = None
        with quiet(trial.threads):
            for setting in settings:
                parameters = _parameters(trial, setting) | {"metric": metric}
                dataset = _dataset(columns, values, rows.labels, parameters)
                folds = [(split.fitted, split.judged) for split in splits]
                stop = lightgbm.early_stopping(PATIENCE, verbose=False)
                found = lightgbm.cv(parameters, dataset, max_rounds, folds=folds, callbacks=[stop])
                losses = np.asarray(found[f"valid {metric}-mean"]) * (-1.0 if metric == "auc" else 1.0)
                if best is None or losses.min() < best[0]:
                    best = (float(losses.min()), int(losses.argmin()) + 1, setting)
        assert best is not None
        _, num_rounds, setting = best
        labelled = rows.labelled
        return _fitted(trial, columns, values[labelled], rows.labels[labelled], setting, num_rounds)


class FixedLightGBMSystem:
    name = "lightgbm-fixed"
    about = (
        f"LightGBM, {FIXED_LEAVES} leaves, {FIXED_ROUNDS} rounds at rate {LEARNING_RATE}, smallest leaf a twentieth of "
        "the labels between 2 and 20"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        columns = FittedColumns.of(trial)
        values = columns.for_trees(trial.frame[trial.labelled_rows])
        setting = Setting(FIXED_LEAVES, min(max(2, len(trial.labels) // 20), 20))
        return _fitted(trial, columns, values, trial.labels, setting, FIXED_ROUNDS)


def _fitted(
    trial: Trial,
    columns: FittedColumns,
    values: FloatArray,
    labels: FloatArray,
    setting: Setting,
    num_rounds: int,
) -> Predict:
    with quiet(trial.threads):
        parameters = _parameters(trial, setting)
        booster = lightgbm.train(parameters, _dataset(columns, values, labels, parameters), num_rounds)

    def predict(frame: pl.DataFrame) -> FloatArray:
        found = np.asarray(booster.predict(columns.for_trees(frame), num_threads=trial.threads))
        return np.stack([1.0 - found, found], axis=1) if trial.task is Task.BINARY else found

    return predict


def _dataset(
    columns: FittedColumns, values: FloatArray, labels: FloatArray, parameters: dict[str, Any]
) -> lightgbm.Dataset:
    num_numbers = len(columns.continuous)
    categorical = list(range(num_numbers, num_numbers + len(columns.categorical)))
    return lightgbm.Dataset(
        values, labels, categorical_feature=categorical, params=parameters, free_raw_data=False
    )


def _metric(rows: LabelledRows, splits: Sequence[Split]) -> str:
    """Area under the curve where each split has one, else the loss that is fitted."""
    if rows.task is Task.BINARY:
        return "auc" if all(rows.judges_all_classes(split) for split in splits) else "binary_logloss"
    return "multi_logloss" if rows.task is Task.MULTICLASS else "l2"


def _parameters(trial: Trial, setting: Setting) -> dict[str, Any]:
    objectives = {Task.BINARY: "binary", Task.MULTICLASS: "multiclass", Task.REGRESSION: "regression"}
    parameters: dict[str, Any] = {
        "objective": objectives[trial.task],
        "learning_rate": LEARNING_RATE,
        "num_leaves": setting.num_leaves,
        "min_data_in_leaf": setting.min_child_samples,
        "min_data_per_group": setting.min_child_samples,  # its default of 100 makes few labels blind to categories
        "deterministic": True,
        "force_row_wise": True,
        "seed": trial.seed % (1 << 31),
        "num_threads": trial.threads,
        "verbosity": -1,
    }
    if trial.task is Task.MULTICLASS:
        parameters["num_class"] = len(trial.classes)
    return parameters
