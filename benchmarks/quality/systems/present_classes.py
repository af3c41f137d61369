"""What no package has to know: classes without a label, labels that are all the same, and rows that are none.

Shape letters: `p` labelled rows, `b` rows to predict, `K` classes of the trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task


def fit_present_classes(trial: Trial, fit: Callable[[Trial], Predict]) -> Predict:
    """`fit` on the classes that have a label; the absent ones share half a label's probability each.

    With no two different labels the prediction is a constant. What `fit` returns gives [b, K] or [b]; rows of
    probabilities are made to sum to 1 (packages compute in float32).

    Raises:
        ValueError: no row is labelled.
    """
    if len(trial.labels) == 0:
        raise ValueError(
            f"no row of {trial.table} is labelled for {trial.target}; a system needs at least one"
        )
    present = np.unique(trial.labels)
    if trial.task is Task.REGRESSION:
        return _checked(_constant(present[0]) if len(present) == 1 else fit(trial), trial)
    if len(present) == len(trial.classes):
        return _checked(fit(trial), trial)
    inner = _constant(np.ones(1)) if len(present) == 1 else fit(_reduced(trial, present))
    absent = len(trial.classes) - len(present)
    rest = 0.5 / (len(trial.labels) + 0.5 * absent)

    def predict(frame: pl.DataFrame) -> FloatArray:
        outputs = np.full((len(frame), len(trial.classes)), rest)
        outputs[:, present.astype(np.int64)] = inner(frame) * (1.0 - absent * rest)
        return outputs

    return _checked(predict, trial)


def _reduced(trial: Trial, present: FloatArray) -> Trial:
    is_known = np.isin(trial.validation_labels, present)
    return replace(
        trial,
        task=Task.BINARY if len(present) == 2 else Task.MULTICLASS,
        classes=tuple(trial.classes[int(label)] for label in present),
        labels=np.searchsorted(present, trial.labels).astype(np.float64),
        validation_rows=trial.validation_rows[is_known],
        validation_labels=np.searchsorted(present, trial.validation_labels[is_known]).astype(np.float64),
    )


def _constant(value: FloatArray) -> Predict:
    def predict(frame: pl.DataFrame) -> FloatArray:
        return np.broadcast_to(value, (len(frame), *np.shape(value))).astype(np.float64)

    return predict


def _checked(predict: Predict, trial: Trial) -> Predict:
    def checked(frame: pl.DataFrame) -> FloatArray:
        if len(frame) == 0:
            return np.empty((0, len(trial.classes)) if trial.classes else 0)
        outputs = np.asarray(predict(frame), dtype=np.float64)
        num_bad = int((~np.isfinite(outputs)).sum())
        if num_bad:
            raise ArithmeticError(f"{num_bad} of {outputs.size} outputs for {trial.target} are not finite")
        return outputs / outputs.sum(axis=1, keepdims=True) if trial.classes else outputs

    return checked
