"""Systems that need no training: one that works, and ones that do what systems should not."""

from __future__ import annotations

import os
import sys
import time

import numpy as np
import polars as pl

from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task


class LineSystem:
    """Reads everything off `x`."""

    name = "line"
    about = "the class or number whose mean of x is nearest"
    tasks = frozenset(Task)
    version = "1"

    def fit(self, trial: Trial) -> Predict:
        x = trial.frame["x"].to_numpy()[trial.labelled_rows]
        if trial.task is Task.REGRESSION:
            slope, level = np.polyfit(x, trial.labels, 1)
            return lambda frame: np.asarray(slope * frame["x"].fill_null(0.0).to_numpy() + level)
        means = np.array([
            x[trial.labels == k].mean() if (trial.labels == k).any() else np.inf for k in range(len(trial.classes))
        ])  # fmt: skip

        def predict(frame: pl.DataFrame) -> FloatArray:
            distance = np.abs(frame["x"].fill_null(0.0).to_numpy()[:, None] - means[None, :])
            scores = np.exp(-np.minimum(distance, 50.0))
            return np.asarray(scores / scores.sum(axis=1, keepdims=True))

        return predict


class RefusingSystem(LineSystem):
    name = "refusing"

    def fit(self, trial: Trial) -> Predict:
        if trial.split == 0:
            raise ValueError("row values that nobody should read in a record")
        return super().fit(trial)


class UnfinishedSystem(LineSystem):
    name = "unfinished"

    def fit(self, trial: Trial) -> Predict:
        return lambda frame: np.full((frame.height, len(trial.classes)), np.nan)


class EndingSystem(LineSystem):
    """Takes its process along, as a crash in native code does; then works; then never ends."""

    name = "ending"

    def fit(self, trial: Trial) -> Predict:
        sys.stdout.write("words between the answers\n")
        if trial.split == 0:
            os._exit(3)
        if trial.split == 2:
            time.sleep(3_600)
        return super().fit(trial)


def lacking() -> LineSystem:
    raise ModuleNotFoundError("no such package", name="some_package")
