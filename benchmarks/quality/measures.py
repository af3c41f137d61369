"""What a predictor is judged by on the test rows.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality.trial import FloatArray, IndexArray
from models.evaluation.calibration_error import calibration_error
from models.evaluation.metrics import auc
from models.features.schema import Task

PRIMARY = {Task.BINARY: "auc", Task.MULTICLASS: "macro_auc", Task.REGRESSION: "r2"}
_TINY = 1e-15


class OutputsError(Exception):
    """A system gave something that is no prediction of the rows; the message says what."""


def measure(outputs: FloatArray, labels: FloatArray, task: Task, num_classes: int) -> dict[str, float]:
    """Metrics of probabilities [n, K] or values [n].

    Raises:
        OutputsError: the wrong shape, or not finite, or probabilities that do not sum to one.
    """
    outputs = check_outputs(outputs, len(labels), task, num_classes)
    if task is Task.REGRESSION:
        return _of_numbers(outputs, labels)
    classes = labels.astype(np.int64)
    chosen = np.clip(outputs[np.arange(len(classes)), classes], _TINY, 1.0)
    error = calibration_error(outputs, classes, np.ones(len(classes)))
    found = {
        "log_loss": float(-np.log(chosen).mean()),
        "accuracy": float((outputs.argmax(axis=1) == classes).mean()),
        "ece": error.value,
        "ece_of_perfect": error.of_perfect,
    }
    if task is Task.BINARY:
        found |= {
            "auc": rank_auc(outputs[:, 1], classes == 1),
            "brier": float(((outputs[:, 1] - classes) ** 2).mean()),
        }
    else:
        found["macro_auc"] = macro_auc(outputs, classes)
    return found


def check_outputs(outputs: FloatArray, num_rows: int, task: Task, num_classes: int) -> FloatArray:
    """Raises: OutputsError."""
    outputs = np.asarray(outputs, dtype=np.float64)
    expected = (num_rows,) if task is Task.REGRESSION else (num_rows, num_classes)
    if outputs.shape != expected:
        raise OutputsError(f"outputs of shape {outputs.shape} where {expected} is needed")
    if not np.isfinite(outputs).all():
        raise OutputsError(f"{int((~np.isfinite(outputs)).sum())} outputs are not finite")
    if task is not Task.REGRESSION:
        if (outputs < -1e-6).any() or not np.allclose(outputs.sum(axis=1), 1.0, atol=1e-3):
            raise OutputsError("probabilities that are negative or do not sum to one")
        outputs = np.clip(outputs, 0.0, 1.0)
    return outputs


def rank_auc(scores: FloatArray, positive: np.ndarray) -> float:
    value = auc(scores, positive.astype(np.float64), np.ones(len(scores))).value
    return float("nan") if value is None else float(value)


def macro_auc(probabilities: FloatArray, classes: IndexArray) -> float:
    """Mean of one-vs-rest AUC over the classes that some but not all judged rows have."""
    present = [k for k in range(probabilities.shape[1]) if 0 < int((classes == k).sum()) < len(classes)]
    return (
        float(np.mean([rank_auc(probabilities[:, k], classes == k) for k in present]))
        if present
        else float("nan")
    )


def _of_numbers(values: FloatArray, labels: FloatArray) -> dict[str, float]:
    errors = labels - values
    spread = float(np.square(labels - labels.mean()).sum())
    return {
        "r2": 1.0 - float(np.square(errors).sum()) / spread if spread > 0 else float("nan"),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "mae": float(np.abs(errors).mean()),
    }
