"""From logits to honest probabilities: one scale and a shift per output, learned on out-of-fold logits.

Temperature scaling (Guo et al., arXiv 1706.04599, section 4.2) stretches logits around zero, which moves the mean
probability of a rare class. NOTE[DIFF]: here the stretch is around the head's own intercept, a small shift is
learned beside it, and both are smoothed towards "no change" by a prior, because with 50 labels the likelihood
alone says little.

Shape letters: `B` rows, `O` outputs (1 for binary), `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax

from models.heads.prediction import FloatArray, IndexArray

LOG_SCALE_PRIOR = 0.4  # standard deviation of log(scale) before any label is seen: a factor of 1.5 either way
SHIFT_PRIOR = 0.25  # of the shift, in logits: the intercept was fitted on the same labels and is hardly off


@dataclass(frozen=True, slots=True)
class Calibration:
    """`scale · logits + shift`; `shift` has one entry per output."""

    scale: float
    shift: tuple[float, ...]

    def apply(self, logits: FloatArray) -> FloatArray:
        """Logits [B, O] to logits [B, O]."""
        return self.scale * logits + np.asarray(self.shift)

    @classmethod
    def identity(cls, num_outputs: int) -> Calibration:
        return cls(1.0, (0.0,) * num_outputs)


def probabilities_of(logits: FloatArray) -> FloatArray:
    """Logits [B, 1] (binary) or [B, K] to probabilities [B, 2] or [B, K]; each row sums to 1."""
    if logits.shape[1] == 1:
        return np.concatenate([expit(-logits), expit(logits)], axis=1)
    # Explicit, row by row in class order, so that a row's bits cannot depend on how many rows there are.
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = np.zeros(len(logits))
    for column in range(exponentials.shape[1]):
        total += exponentials[:, column]
    return np.asarray(exponentials / total[:, None])


def log_loss_of(logits: FloatArray, labels: IndexArray) -> FloatArray:
    """Loss per row [B] of logits [B, 1] or [B, K] at labels [B] (class index)."""
    if logits.shape[1] == 1:
        return np.asarray(-log_expit(np.where(labels == 1, logits[:, 0], -logits[:, 0])))
    return np.asarray(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels])


def fit_calibration(
    logits: FloatArray, labels: IndexArray, weights: FloatArray, intercept: FloatArray
) -> Calibration:
    """Most probable scale and shift given out-of-fold `logits` [B, O], of mean weight 1, around `intercept` [O]."""
    num_outputs = logits.shape[1]
    centred = logits - intercept

    def objective(parameters: FloatArray) -> float:
        log_scale, shift = parameters[0], parameters[1:]
        losses = log_loss_of(np.exp(log_scale) * centred + intercept + shift, labels)
        prior = (log_scale / LOG_SCALE_PRIOR) ** 2 + float(np.sum((shift / SHIFT_PRIOR) ** 2))
        return float(weights @ losses) + 0.5 * prior

    # With many classes the shifts cost more than they give; the scale alone is then learned.
    free_shift = num_outputs <= 12
    start = np.zeros(1 + num_outputs)
    if free_shift:
        bounds = [(-2.0, 2.0)] + [(-1.0, 1.0)] * num_outputs
    else:
        bounds = [(-2.0, 2.0)] + [(0.0, 0.0)] * num_outputs
    found = minimize(objective, start, method="L-BFGS-B", bounds=bounds).x
    scale = float(np.exp(found[0]))
    return Calibration(scale, tuple(float(x) for x in (1.0 - scale) * intercept + found[1:]))
