"""How much each kind of head has to say in a blend: from out-of-fold scores, the less sure the fewer the labels.

Picking one kind by cross-validation at 50 labels is noisy, an equal mean is hard to beat (RESEARCH); with many labels the
better kind should have its way. Weights therefore minimise the out-of-fold loss (stacking: Wolpert 1992; Breiman 1996)
with a pull to equal ones that is worth a fixed number of nats, whatever the number of labels.

Shape letters: `m` rows judged out of fold, `O` outputs, `M` members.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from models.features.schema import Task
from models.heads.blend_head import averaged
from models.heads.folds import Folds
from models.heads.losses import row_losses
from models.heads.prediction import FloatArray

PULL = 4.0  # nats, per member
REAL_GAIN = 2.0  # standard errors
MIN_WEIGHT = 0.05  # a member with less to say is left out


def blend_weights(
    task: Task, scores: Sequence[FloatArray], labels: FloatArray, weights: FloatArray
) -> FloatArray:
    """Weights [M] of sum 1 for calibrated out-of-fold scores [M] of [m, O] at labels [m] with weights [m]."""
    num_members = len(scores)
    if num_members == 1:
        return np.ones(1)
    shares = weights / weights.sum()

    def objective(parameters: FloatArray) -> float:
        say = _softmax(parameters)
        loss = float(shares @ row_losses(task, averaged(scores, say.tolist()), labels))
        nats = len(labels) * (0.5 * np.log(max(loss, 1e-300)) if task is Task.REGRESSION else loss)
        return float(nats - PULL * np.log(np.maximum(say * num_members, 1e-300)).sum())

    found = _softmax(
        minimize(objective, np.zeros(num_members), method="L-BFGS-B", bounds=[(-6.0, 6.0)] * num_members).x
    )
    found[found < MIN_WEIGHT] = 0.0
    return np.asarray(found / found.sum())


def out_of_fold_blend(
    task: Task, scores: Sequence[FloatArray], labels: FloatArray, weights: FloatArray, folds: Folds
) -> FloatArray:
    """Scores [m, O] of the blend where a fold's rows had no say in the weights."""
    found = np.empty_like(scores[0])
    assignment = folds.assignment[0]
    for fold in range(folds.num_folds):
        held_out = assignment == fold
        kept = ~held_out
        say = blend_weights(task, [part[kept] for part in scores], labels[kept], weights[kept])
        found[held_out] = averaged([part[held_out] for part in scores], say.tolist())
    return found


def is_real_gain(
    task: Task, less: FloatArray, more: FloatArray, labels: FloatArray, weights: FloatArray
) -> bool:
    """Whether the scores `more` [m, O] have smaller losses than `less` by more than noise, row beside row."""
    gains = row_losses(task, less, labels) - row_losses(task, more, labels)
    shares = weights / weights.sum()
    mean = float(shares @ gains)
    error = float(np.sqrt(np.square(shares * (gains - mean)).sum()))
    return mean > REAL_GAIN * error


def _softmax(parameters: FloatArray) -> FloatArray:
    exponentials = np.exp(parameters - parameters.max())
    return np.asarray(exponentials / exponentials.sum())
