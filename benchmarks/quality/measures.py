"""What a predictor is judged by on the test rows.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality.trial import FloatArray, IndexArray
from models.evaluation.metrics import auc
from models.features.schema import Task

PRIMARY = {Task.BINARY: "auc", Task.MULTICLASS: "macro_auc", Task.REGRESSION: "r2"}
NUM_BINS = 10
NUM_SIMULATIONS = 20
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
    found = {
        "log_loss": float(-np.log(chosen).mean()),
        "accuracy": float((outputs.argmax(axis=1) == classes).mean()),
        "ece": calibration_error(outputs, classes),
        "ece_of_perfect": perfect_calibration_error(outputs, np.random.default_rng(0)),
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


def calibration_error(probabilities: FloatArray, classes: IndexArray) -> float:
    """Expected calibration error over ten bins of equal width.

    Of two classes, of the positive one's probability; of more, of the most probable one's.
    """
    confidence, hit = _claims(probabilities, classes)
    return _binned_gap(confidence, hit)


def perfect_calibration_error(probabilities: FloatArray, generator: np.random.Generator) -> float:
    """What the error comes to when labels are drawn from these very probabilities: noise of so many rows."""
    confidence, _ = _claims(probabilities, np.zeros(len(probabilities), dtype=np.int64))
    drawn = [
        _binned_gap(confidence, (generator.random(len(confidence)) < confidence).astype(np.float64))
        for _ in range(NUM_SIMULATIONS)
    ]
    return float(np.mean(drawn))


def coverage_of_intervals(intervals: FloatArray, labels: FloatArray) -> float:
    """Share of labels [n] inside their interval [n, 2]."""
    return float(((labels >= intervals[:, 0]) & (labels <= intervals[:, 1])).mean())


def coverage_of_sets(sets: np.ndarray, labels: FloatArray) -> tuple[float, float]:
    """Share of labels [n] in their set, bool [n, K], and the mean number of classes in one."""
    inside = sets[np.arange(len(labels)), labels.astype(np.int64)]
    return float(inside.mean()), float(sets.sum(axis=1).mean())


def _claims(probabilities: FloatArray, classes: IndexArray) -> tuple[FloatArray, FloatArray]:
    if probabilities.shape[1] == 2:
        return probabilities[:, 1], (classes == 1).astype(np.float64)
    top = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), (top == classes).astype(np.float64)


def _binned_gap(confidence: FloatArray, hit: FloatArray) -> float:
    bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    gaps = np.bincount(bins, weights=hit - confidence, minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _of_numbers(values: FloatArray, labels: FloatArray) -> dict[str, float]:
    errors = labels - values
    spread = float(np.square(labels - labels.mean()).sum())
    return {
        "r2": 1.0 - float(np.square(errors).sum()) / spread if spread > 0 else float("nan"),
        "rmse": float(np.sqrt(np.square(errors).mean())),
        "mae": float(np.abs(errors).mean()),
    }
