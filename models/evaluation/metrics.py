"""Metrics of binary, multiclass and regression outputs, each with a 95 % interval, as JSON without NaN.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.evaluation.calibration_error import calibration_error
from models.evaluation.estimates import Estimate, FloatArray, mean_estimate, small_sample
from models.evaluation.judged import IndexArray, JudgedRows
from models.features.schema import Task

MIN_HOLDOUT_LABELS = 200
MIN_HOLDOUT_PER_CLASS = 20
_TINY = 1e-15

PRIMARY = {Task.BINARY: "auc", Task.MULTICLASS: "macro_auc", Task.REGRESSION: "r2"}
"""The metric that decides: larger is better, and `NO_SKILL` is what a constant predictor has."""

NO_SKILL = {Task.BINARY: 0.5, Task.MULTICLASS: 0.5, Task.REGRESSION: 0.0}


def auc(scores: FloatArray, positive: FloatArray, weights: FloatArray) -> Estimate:
    """Area under the ROC curve: the chance that a positive row [n] scores above a negative one, ties half.

    Variance by DeLong's structural components, interval on the logit scale. O(n log n).
    """
    is_positive = positive > 0.5
    num_positive = int(is_positive.sum())
    num_negative = len(positive) - num_positive
    if num_positive == 0 or num_negative == 0:
        return Estimate.missing("only one class among the judged labels")
    above = _share_below(scores[is_positive], scores[~is_positive], weights[~is_positive])
    below = 1.0 - _share_below(scores[~is_positive], scores[is_positive], weights[is_positive])
    positive_weight, negative_weight = weights[is_positive], weights[~is_positive]
    value = float(np.average(above, weights=positive_weight))
    influence = np.empty(len(scores))
    influence[is_positive] = (
        positive_weight * (above - value) / positive_weight.sum() * small_sample(num_positive)
    )
    influence[~is_positive] = (
        negative_weight * (below - value) / negative_weight.sum() * small_sample(num_negative)
    )
    return Estimate(min(max(value, 0.0), 1.0), influence, "logit", min(num_positive, num_negative))


def _share_below(scores: FloatArray, others: FloatArray, other_weights: FloatArray) -> FloatArray:
    """Weighted share of `others` below each of `scores`, those equal counting half."""
    order = np.argsort(others, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(other_weights[order])])
    ranked = others[order]
    low = cumulative[np.searchsorted(ranked, scores, side="left")]
    high = cumulative[np.searchsorted(ranked, scores, side="right")]
    return np.asarray(0.5 * (low + high) / cumulative[-1])


def macro_auc(
    probabilities: FloatArray, labels: IndexArray, weights: FloatArray, min_labels: int
) -> Estimate:
    """Mean over classes of one-vs-rest AUC; classes with fewer than `min_labels` judged labels are left out."""
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    judged = [k for k in range(probabilities.shape[1]) if min_labels <= counts[k] < len(labels)]
    if len(judged) < 2:
        return Estimate.missing(f"fewer than two classes have {min_labels} judged labels")
    parts = [auc(probabilities[:, k], (labels == k).astype(np.float64), weights) for k in judged]
    value = float(np.mean([part.value for part in parts]))
    influence = np.mean([part.influence for part in parts], axis=0)
    # Classes err independently enough that their counts add up; the smallest alone would be far too wide.
    return Estimate(value, influence, "logit", int(counts[judged].sum()) - len(judged) + 1)


def r2(values: FloatArray, labels: FloatArray, weights: FloatArray) -> Estimate:
    """Share of the labels' variance that the values explain; negative when worse than the labels' mean."""
    centre = float(np.average(labels, weights=weights))
    errors, spreads = weights * np.square(labels - values), weights * np.square(labels - centre)
    total = float(spreads.sum())
    if len(labels) < 2 or total <= 1e-24 * max(1.0, centre * centre) * float(weights.sum()):
        return Estimate.missing("the judged labels are all equal")
    ratio = float(errors.sum()) / total
    influence = -(errors - ratio * spreads) / total * small_sample(len(labels))
    return Estimate(1.0 - ratio, influence, "log_complement", len(labels))


def rmse(values: FloatArray, labels: FloatArray, weights: FloatArray) -> Estimate:
    squared = mean_estimate(np.square(labels - values), weights, "log")
    value = float(np.sqrt(squared.value or 0.0))
    return Estimate(value, squared.influence / (2.0 * max(value, 1e-300)), "log", squared.num_units)


def estimate_all(judged: JudgedRows) -> dict[str, Estimate]:
    """Every metric of the task; empty for no rows."""
    if len(judged) == 0:
        return {}
    outputs, weights = judged.outputs, judged.weights
    if judged.task is Task.REGRESSION:
        return {
            "r2": r2(outputs, judged.labels, weights),
            "mae": mean_estimate(np.abs(judged.labels - outputs), weights, "log"),
            "rmse": rmse(outputs, judged.labels, weights),
        }
    labels = judged.labels.astype(np.int64)
    chosen = np.clip(outputs[np.arange(len(labels)), labels], _TINY, 1.0)
    found: dict[str, Estimate] = {}
    if judged.task is Task.BINARY:
        found["auc"] = auc(outputs[:, 1], judged.labels, weights)
    else:
        min_labels = MIN_HOLDOUT_PER_CLASS if judged.on == "holdout" else 2
        found["macro_auc"] = macro_auc(outputs, labels, weights, min_labels)
    found["log_loss"] = mean_estimate(-np.log(chosen), weights, "log")
    if judged.task is Task.BINARY:
        found["brier"] = mean_estimate(np.square(outputs[:, 1] - judged.labels), weights, "log")
    found["accuracy"] = mean_estimate((outputs.argmax(axis=1) == labels).astype(np.float64), weights, "logit")
    return found


def metrics_json(judged: JudgedRows) -> dict[str, Any]:
    """`{"auc": {"value", "low", "high", "n", "positives", "on"}, …}`; None with a `reason` instead of NaN.

    Of classes `calibration_error` too, which has no interval but what perfectly calibrated models show on so many rows.
    """
    found: dict[str, Any] = {}
    for name, estimate in estimate_all(judged).items():
        interval = estimate.interval()
        entry: dict[str, Any] = {
            "value": estimate.value,
            "low": None if interval is None else interval.low,
            "high": None if interval is None else interval.high,
            "n": len(judged),
            "on": judged.on,
        }
        if judged.task is Task.BINARY:
            entry["positives"] = int(judged.labels.sum())
        if estimate.reason is not None:
            entry["reason"] = estimate.reason
        elif interval is None:
            entry["reason"] = "too few labels for an interval"
        found[name] = entry
    if judged.task is not Task.REGRESSION and len(judged):
        error = calibration_error(judged.outputs, judged.labels.astype(np.int64), judged.weights)
        found["calibration_error"] = {
            "value": error.value,
            "low": None,
            "high": None,
            "n": len(judged),
            "on": judged.on,
            "of_perfect": error.of_perfect,
            "of_perfect_high": error.of_perfect_high,
            "reason": "no interval; of_perfect is what perfectly calibrated models show on so many rows",
        }
    return found


def missing_metrics(task: Task, reason: str) -> dict[str, Any]:
    """The primary metric without a value, and why."""
    return {PRIMARY[task]: {"value": None, "low": None, "high": None, "n": 0, "on": None, "reason": reason}}


def holdout_refusal(task: Task, labels: FloatArray) -> str | None:
    """Why hold-out labels [n] are too few to be reported, or None."""
    if len(labels) < MIN_HOLDOUT_LABELS:
        return f"{len(labels)} hold-out labels; metrics need {MIN_HOLDOUT_LABELS}"
    if task is Task.REGRESSION:
        return None
    counts = np.bincount(labels.astype(np.int64), minlength=2)
    enough = int((counts >= MIN_HOLDOUT_PER_CLASS).sum())
    if enough < 2 or (task is Task.BINARY and int(counts.min()) < MIN_HOLDOUT_PER_CLASS):
        return f"fewer than {MIN_HOLDOUT_PER_CLASS} hold-out labels in a class"
    return None


def beats_constant(judged: JudgedRows) -> bool:
    """Whether the 95 % interval of the primary metric excludes the skill of a constant predictor."""
    estimate = estimate_all(judged).get(PRIMARY[judged.task])
    interval = None if estimate is None else estimate.interval()
    return interval is not None and interval.low > NO_SKILL[judged.task]
