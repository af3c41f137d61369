"""The loss of scores, as heads are compared and weighted by. `n` rows, `O` outputs."""

from __future__ import annotations

import numpy as np

from models.features.schema import Task
from models.heads.calibration import log_loss_of
from models.heads.prediction import FloatArray


def row_losses(task: Task, scores: FloatArray, labels: FloatArray) -> FloatArray:
    """Log-loss in nats, or squared error, [n], of scores [n, O] (logits or values) at labels [n]."""
    if task is Task.REGRESSION:
        return np.asarray(np.square(labels - scores[:, 0]))
    return log_loss_of(scores, labels.astype(np.int64))


def centre_and_spread(labels: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Weighted mean and standard deviation of numbers [n]; 1 where they hardly differ."""
    centre = float(np.average(labels, weights=weights))
    spread = float(np.sqrt(np.average(np.square(labels - centre), weights=weights)))
    return centre, spread if spread > 1e-12 * abs(centre) else 1.0


def mean_loss(task: Task, scores: FloatArray, labels: FloatArray, weights: FloatArray) -> float:
    """Weighted mean of `row_losses`."""
    return float(np.average(row_losses(task, scores, labels), weights=weights))
