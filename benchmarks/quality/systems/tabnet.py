"""TabNet by pytorch-tabnet at its defaults, stopped on rows held out (arXiv 1908.07442)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import seeded_torch
from benchmarks.quality.systems.inner_splits import LabelledRows
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pytorch_tabnet.tab_model import TabNetClassifier, TabNetRegressor

MAX_EPOCHS, PATIENCE, HELD_OUT = 200, 30, 0.2
BATCH_SIZE, GHOST_BATCH_SIZE = 1_024, 128  # its defaults
MIN_STEPS, MIN_BATCH_SIZE = 8, 16
"""Smaller batches with few labels: its batch normalisation forgets slowly, and predicts at random in the first steps."""
EMBEDDING_SIZE = 1  # its default


class TabNetSystem:
    name = "tabnet"
    about = (
        f"pytorch-tabnet at its defaults, up to {MAX_EPOCHS} epochs, stopped after {PATIENCE} without a better AUC, "
        "log-loss or squared error on a fifth of the labels"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        columns, rows = FittedColumns.of(trial), LabelledRows.of(trial)
        split = rows.holdout(HELD_OUT)
        features = columns.for_networks(trial.frame[rows.rows]).astype(np.float32)
        labels, centre, scale = _targets(rows, trial.task)
        # Batches are never left incomplete: a ghost batch of one row cannot be normalised.
        num_fitted = len(split.fitted)
        batch_size = min(BATCH_SIZE, max(MIN_BATCH_SIZE, num_fitted // MIN_STEPS), num_fitted)
        is_regression = trial.task is Task.REGRESSION
        with seeded_torch(trial.threads, trial.seed):
            estimator = (TabNetRegressor if is_regression else TabNetClassifier)(
                cat_idxs=list(range(columns.num_complete, features.shape[1])),
                cat_dims=list(columns.code_sizes),
                cat_emb_dim=EMBEDDING_SIZE,
                seed=trial.seed % (1 << 31),
                device_name="cpu",
                verbose=0,
            )
            estimator.fit(
                features[split.fitted],
                labels[split.fitted],
                eval_set=[(features[split.judged], labels[split.judged])],
                eval_metric=[_metric(rows, rows.judges_all_classes(split))],
                max_epochs=MAX_EPOCHS,
                patience=PATIENCE,
                batch_size=batch_size,
                virtual_batch_size=min(GHOST_BATCH_SIZE, batch_size),
                compute_importance=False,
            )

        def predict(frame: pl.DataFrame) -> FloatArray:
            with seeded_torch(trial.threads, trial.seed):
                features = columns.for_networks(frame).astype(np.float32)
                if is_regression:
                    return centre + scale * np.asarray(estimator.predict(features), dtype=np.float64)[:, 0]
                return np.asarray(estimator.predict_proba(features))

        return predict


def _targets(rows: LabelledRows, task: Task) -> tuple[Any, float, float]:
    """Labels as the package takes them, with the centre and scale that numbers were brought from."""
    if task is not Task.REGRESSION:
        return rows.labels.astype(np.int64), 0.0, 1.0
    labelled = rows.labels[rows.labelled]
    centre, scale = float(labelled.mean()), float(labelled.std())
    return ((rows.labels - centre) / scale).astype(np.float32)[:, None], centre, scale


def _metric(rows: LabelledRows, judges_all_classes: bool) -> str:
    """The package's area and log-loss need every class to be judged."""
    if rows.task is Task.REGRESSION:
        return "mse"
    if not judges_all_classes:
        return "accuracy"
    return "auc" if rows.task is Task.BINARY else "logloss"
