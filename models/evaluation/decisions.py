"""What a decision rule comes to on judged rows: precision, recall, share decided positive, expected cost.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models.evaluation.estimates import Estimate, mean_estimate
from models.evaluation.judged import FloatArray, IndexArray, JudgedRows
from models.features.schema import Task


def decision_metrics(
    judged: JudgedRows, decided: IndexArray, costs: FloatArray | None = None
) -> dict[str, Any]:
    """`decided` [n] class indices for the judged rows; `costs` [K, K], of (true, decided) pairs, adds `cost`.

    `{"precision": {"value", "low", "high", "n", "on"}, …}`, null with a `reason` where it does not exist.
    """
    labels = judged.labels.astype(np.int64)
    found: dict[str, Any] = {"accuracy": _entry(judged, decided == labels, None, "logit")}
    if judged.task is Task.BINARY:
        is_decided, is_positive = decided == 1, labels == 1
        found["precision"] = _entry(judged, is_positive, is_decided, "logit")
        found["recall"] = _entry(judged, is_decided, is_positive, "logit")
        found["share_positive"] = _entry(judged, is_decided, None, "logit")
        found["counts"] = {
            "decided_positive": int(is_decided.sum()),
            "true_positive": int((is_decided & is_positive).sum()),
            "positive": int(is_positive.sum()),
            "n": len(judged),
        }
    if costs is not None:
        found["cost"] = _entry(judged, costs[labels, decided], None, "identity")
    return found


def _entry(
    judged: JudgedRows,
    values: npt.NDArray[Any],
    among: npt.NDArray[np.bool_] | None,
    scale: Literal["identity", "logit"],
) -> dict[str, Any]:
    """Weighted mean of `values` [n] among the rows of `among` [n], with its interval."""
    chosen = np.ones(len(values), dtype=bool) if among is None else among
    weights = judged.weights[chosen]
    if not chosen.any() or weights.sum() <= 0.0:
        estimate = Estimate.missing("no judged row of this kind")
    else:
        estimate = mean_estimate(values[chosen].astype(np.float64), weights, scale)
    interval = estimate.interval()
    entry: dict[str, Any] = {
        "value": estimate.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "n": int(chosen.sum()),
        "on": judged.on,
    }
    if estimate.reason is not None:
        entry["reason"] = estimate.reason
    return entry
