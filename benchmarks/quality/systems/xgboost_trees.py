"""XGBoost with its native categories, at ordinary settings; the number of rounds is chosen by rows held out."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import xgboost

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import quiet
from benchmarks.quality.systems.inner_splits import LabelledRows
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

LEARNING_RATE, MAX_DEPTH, SUBSAMPLE = 0.05, 6, 0.8
MAX_ROUNDS, PATIENCE, HELD_OUT = 1_000, 50, 0.2


class XGBoostSystem:
    name = "xgboost"
    about = (
        f"XGBoost, depth {MAX_DEPTH}, rate {LEARNING_RATE}, {SUBSAMPLE:.0%} of rows and columns a tree; up to "
        f"{MAX_ROUNDS:,} rounds chosen by a fifth of the labels, then fitted to all of them"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        columns, rows = FittedColumns.of(trial), LabelledRows.of(trial)
        values = columns.for_trees(trial.frame[rows.rows])
        split = rows.holdout(HELD_OUT)
        parameters = _parameters(trial)
        with quiet(trial.threads):
            judged = _matrix(columns, values[split.judged], trial.threads, rows.labels[split.judged])
            found = xgboost.train(
                parameters,
                _matrix(columns, values[split.fitted], trial.threads, rows.labels[split.fitted]),
                MAX_ROUNDS,
                evals=[(judged, "judged")],
                early_stopping_rounds=PATIENCE,
                verbose_eval=False,
            )
            labelled = _matrix(columns, values[rows.labelled], trial.threads, rows.labels[rows.labelled])
            booster = xgboost.train(parameters, labelled, found.best_iteration + 1)

        def predict(frame: pl.DataFrame) -> FloatArray:
            with quiet(trial.threads):
                outputs = booster.predict(_matrix(columns, columns.for_trees(frame), trial.threads))
            return np.stack([1.0 - outputs, outputs], axis=1) if trial.task is Task.BINARY else outputs

        return predict


def _matrix(
    columns: FittedColumns, values: FloatArray, threads: int, labels: FloatArray | None = None
) -> xgboost.DMatrix:
    kinds = ["q"] * len(columns.continuous) + ["c"] * len(columns.categorical)
    return xgboost.DMatrix(values, labels, feature_types=kinds, enable_categorical=True, nthread=threads)


def _parameters(trial: Trial) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "learning_rate": LEARNING_RATE,
        "max_depth": MAX_DEPTH,
        "subsample": SUBSAMPLE,
        "colsample_bytree": SUBSAMPLE,
        "tree_method": "hist",
        "seed": trial.seed % (1 << 31),
        "nthread": trial.threads,
        "verbosity": 0,
    }
    if trial.task is Task.REGRESSION:
        return parameters | {"objective": "reg:squarederror"}
    if trial.task is Task.BINARY:
        return parameters | {"objective": "binary:logistic"}
    return parameters | {"objective": "multi:softprob", "num_class": len(trial.classes)}
