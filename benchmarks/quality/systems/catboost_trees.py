"""CatBoost with its native treatment of categories: at its defaults, and tuned inside the labels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoostClassifier, CatBoostRegressor, Pool

from benchmarks.quality.systems.columns import FittedColumns
from benchmarks.quality.systems.confinement import quiet
from benchmarks.quality.systems.inner_splits import LabelledRows, Split
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

DEFAULTS: dict[str, Any] = {}  # a thousand rounds, a rate by the number of rows, depth 6
LEARNING_RATES, DEPTHS, MAX_ROUNDS = (0.03, 0.1), (4, 6), 500
NUM_FOLDS = 3
MANY = 2_000
"""Labels above which one fifth of them judges, instead of folds, and there may be more rounds."""
MANY_RATES, MANY_DEPTHS, MANY_ROUNDS = (0.05, 0.1), (6, 8), 2_000
PATIENCE = 50


class CatBoostSystem:
    name = "catboost"
    about = (
        "CatBoost at its defaults (1,000 rounds); validation rows, where given, choose the number of rounds"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        rows = LabelledRows.of(trial)
        table = _Table(trial, rows)
        split = rows.holdout(0.2) if rows.has_validation else None
        return table.predictor(table.fit(DEFAULTS, rows.labelled, split))


class TunedCatBoostSystem:
    name = "catboost-tuned"
    about = (
        f"CatBoost, rate × depth × up to {MAX_ROUNDS} rounds by {NUM_FOLDS}-fold cross-validation; over {MANY:,} labels "
        f"up to {MANY_ROUNDS:,} rounds by a fifth of them"
    )
    tasks = frozenset(Task)

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        rows = LabelledRows.of(trial)
        table = _Table(trial, rows)
        if rows.num_labelled <= MANY:
            grid, num_rounds = itertools.product(LEARNING_RATES, DEPTHS), MAX_ROUNDS
            splits = rows.folds(NUM_FOLDS)
        else:
            grid, num_rounds = itertools.product(MANY_RATES, MANY_DEPTHS), MANY_ROUNDS
            splits = [rows.holdout(0.2)]
        best: tuple[float, dict[str, Any]] | None = None
        for rate, depth in grid:
            setting = {"learning_rate": rate, "depth": depth, "iterations": num_rounds}
            curve = _mean_curve(table, setting | {"early_stopping_rounds": PATIENCE}, splits)
            if best is None or curve.min() < best[0]:
                best = (float(curve.min()), setting | {"iterations": int(curve.argmin()) + 1})
        assert best is not None
        return table.predictor(table.fit(best[1], rows.labelled))


class _Table:
    """Rows as CatBoost takes them, and its estimator for the trial's task."""

    def __init__(self, trial: Trial, rows: LabelledRows) -> None:
        self._trial, self._rows = trial, rows
        self._columns = FittedColumns.of(trial)
        num_numbers = len(trial.continuous)
        self._categorical = list(range(num_numbers, num_numbers + len(trial.categorical)))
        self._values = self._columns.mixed(trial.frame[rows.rows])

    def fit(self, setting: dict[str, Any], positions: Any, split: Split | None = None) -> Any:
        """An estimator of `positions`; the rows that `split` judges give its learning curve and its best round."""
        trial = self._trial
        kind = CatBoostRegressor if trial.task is Task.REGRESSION else CatBoostClassifier
        with quiet(trial.threads):
            estimator = kind(
                random_seed=trial.seed % (1 << 31),
                thread_count=trial.threads,
                allow_writing_files=False,
                verbose=False,
                **setting,
            )
            judged = self._pool(split.judged) if split is not None else None
            estimator.fit(self._pool(positions), eval_set=judged)
        return estimator

    def predictor(self, estimator: Any) -> Predict:
        trial = self._trial

        def predict(frame: pl.DataFrame) -> FloatArray:
            with quiet(trial.threads):
                rows = Pool(self._columns.mixed(frame), cat_features=self._categorical)
                output = estimator.predict if trial.task is Task.REGRESSION else estimator.predict_proba
                return np.asarray(output(rows, thread_count=trial.threads), dtype=np.float64)

        return predict

    def _pool(self, positions: Any) -> Pool:
        labels = self._rows.labels[positions]
        if self._trial.task is not Task.REGRESSION:
            labels = labels.astype(np.int64)
        return Pool(self._values[positions], labels, cat_features=self._categorical)


def _mean_curve(table: _Table, setting: dict[str, Any], splits: list[Split]) -> FloatArray:
    """Loss after each round, the mean over splits by their judged rows; a split that stopped early stays at its last."""
    curves, num_judged = [], []
    for split in splits:
        results = table.fit(setting, split.fitted, split).get_evals_result()["validation"]
        (losses,) = results.values()
        curves.append(np.asarray(losses, dtype=np.float64))
        num_judged.append(len(split.judged))
    length = max(map(len, curves))
    padded = [np.pad(curve, (0, length - len(curve)), mode="edge") for curve in curves]
    return np.asarray(np.average(padded, axis=0, weights=num_judged))
