"""TabM and RealMLP by pytabkit at its tuned defaults, one network each, stopped on rows held out.

TabM: arXiv 2410.24210. RealMLP: arXiv 2407.04491.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import seeded_torch
from benchmarks.quality.systems.inner_splits import LabelledRows
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.systems.torchvision_operators import declare_missing
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    declare_missing()
    from pytabkit import (
        RealMLP_TD_Classifier,
        RealMLP_TD_Regressor,
        TabM_D_Classifier,
        TabM_D_Regressor,
    )

HELD_OUT = 0.2
BATCH_SIZE = 256  # the default of both
TABM_MAX_STEPS, TABM_MIN_EPOCHS = 2_000, 10


class TabMSystem:
    name = "tabm"
    about = (
        f"pytabkit's TabM_D, one fit of up to {TABM_MAX_STEPS:,} steps (at least {TABM_MIN_EPOCHS} epochs), stopped by AUC "
        "or squared error on a fifth of the labels"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, _fit_tabm)


class RealMLPSystem:
    name = "realmlp"
    about = "pytabkit's RealMLP_TD, one fit of 256 epochs, the best by AUC or squared error on a fifth of the labels"
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, _fit_realmlp)


def _fit_tabm(trial: Trial) -> Predict:
    steps_per_epoch = -(-len(trial.labels) // BATCH_SIZE)
    num_epochs = max(TABM_MIN_EPOCHS, TABM_MAX_STEPS // steps_per_epoch)
    estimator = TabM_D_Regressor if trial.task is Task.REGRESSION else TabM_D_Classifier
    return _fit(trial, partial(estimator, n_epochs=num_epochs))


def _fit_realmlp(trial: Trial) -> Predict:
    return _fit(trial, RealMLP_TD_Regressor if trial.task is Task.REGRESSION else RealMLP_TD_Classifier)


def _fit(trial: Trial, make: Callable[..., Any]) -> Predict:
    columns, rows = FittedColumns.of(trial), LabelledRows.of(trial)
    split = rows.holdout(HELD_OUT)
    labels: Any = rows.labels
    settings: dict[str, Any] = {
        "random_state": trial.seed % (1 << 31),
        "n_threads": trial.threads,
        "device": "cpu",
    }
    if trial.task is not Task.REGRESSION:
        labels = rows.labels.astype(np.int64)
        # Its default, the share of errors, stops at the majority answer. An area needs two classes to be judged.
        is_defined = len(np.unique(rows.labels[split.judged])) > 1
        settings["val_metric_name"] = "1-auc_ovr" if is_defined else "cross_entropy"
    is_categorical = [False] * columns.num_complete + [True] * len(columns.categorical)
    with seeded_torch(trial.threads, trial.seed), tempfile.TemporaryDirectory() as folder:
        estimator = make(tmp_folder=folder, **settings)
        estimator.fit(
            columns.for_networks(trial.frame[rows.rows]),
            labels,
            val_idxs=split.judged,
            cat_indicator=is_categorical,
        )

    def predict(frame: pl.DataFrame) -> FloatArray:
        with seeded_torch(trial.threads, trial.seed):
            features = columns.for_networks(frame)
            if trial.task is Task.REGRESSION:
                return np.asarray(estimator.predict(features))
            return np.asarray(estimator.predict_proba(features))

    return predict
