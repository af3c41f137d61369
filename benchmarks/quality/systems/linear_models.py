"""Logistic and ridge regression of scikit-learn on one-hot categories and standardised numbers.

The strength is chosen by cross-validated log-loss or squared error inside the labels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_squared_error

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import quiet
from benchmarks.quality.systems.inner_splits import LabelledRows
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

STRENGTHS = np.logspace(3, -2, 11)
"""λ of the penalty ½λ‖w‖² (ridge: λ‖w‖²) beside the sum of the rows' losses."""
NUM_FOLDS, NUM_FOLDS_MANY, MANY = 5, 3, 5_000
MAX_STEPS = 500


class LogisticSystem:
    name = "logistic"
    about = (
        "scikit-learn's logistic regression, one-hot and standardised; strength from "
        f"{len(STRENGTHS)} by {NUM_FOLDS}-fold log-loss ({NUM_FOLDS_MANY}-fold over {MANY:,} labels)"
    )
    tasks = frozenset({Task.BINARY, Task.MULTICLASS})

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        classes = range(len(trial.classes))
        return _fit_chosen(
            trial,
            make=lambda strength: LogisticRegression(C=1.0 / strength, max_iter=MAX_STEPS),
            outputs=lambda model, features: model.predict_proba(features),
            loss=lambda labels, outputs: float(log_loss(labels, outputs, labels=classes)),
        )


class RidgeSystem:
    name = "ridge"
    about = (
        "scikit-learn's ridge regression, one-hot and standardised; strength from "
        f"{len(STRENGTHS)} by {NUM_FOLDS}-fold squared error ({NUM_FOLDS_MANY}-fold over {MANY:,} labels)"
    )
    tasks = frozenset({Task.REGRESSION})

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        return _fit_chosen(
            trial,
            make=lambda strength: Ridge(alpha=strength, solver="sparse_cg", tol=1e-6),
            outputs=lambda model, features: model.predict(features),
            loss=lambda labels, outputs: float(mean_squared_error(labels, outputs)),
        )


def _fit_chosen(
    trial: Trial,
    *,
    make: Callable[[float], Any],
    outputs: Callable[[Any, Any], FloatArray],
    loss: Callable[[FloatArray, FloatArray], float],
) -> Predict:
    columns, rows = FittedColumns.of(trial), LabelledRows.of(trial)
    with quiet(trial.threads):
        features = columns.one_hot(trial.frame[rows.rows])
        total = np.zeros(len(STRENGTHS))
        for split in rows.folds(NUM_FOLDS if rows.num_labelled <= MANY else NUM_FOLDS_MANY):
            for i, strength in enumerate(STRENGTHS):
                model = make(strength).fit(features[split.fitted], rows.labels[split.fitted])
                found = outputs(model, features[split.judged])
                total[i] += len(split.judged) * loss(rows.labels[split.judged], found)
        model = make(STRENGTHS[total.argmin()]).fit(features[rows.labelled], rows.labels[rows.labelled])

    def predict(frame: pl.DataFrame) -> FloatArray:
        with quiet(trial.threads):
            return outputs(model, columns.one_hot(frame))

    return predict
