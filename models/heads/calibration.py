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
from scipy.special import expit, log_expit, log_softmax, softmax

from models.heads.prediction import FloatArray, IndexArray

LOG_SCALE_PRIOR = 0.4  # standard deviation of log(scale) before any label is seen: a factor of 1.5 either way
SHIFT_PRIOR = 0.25  # of the shift, in logits: the intercept was fitted on the same labels and is hardly off

MAX_SHIFTS = 12


@dataclass(frozen=True, slots=True)
class Calibration:
    """`scale · logits + shift`; `shift` has one entry per output."""

    scale: float
    shift: tuple[float, ...]

    def apply(self, logits: FloatArray) -> FloatArray:
        """Logits [B, O] to logits [B, O]."""
        return np.asarray(self.scale * logits + np.asarray(self.shift, dtype=np.float64))

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
    # With many classes the shifts cost more than they give; the scale alone is then learned.
    num_shifts = num_outputs if num_outputs <= MAX_SHIFTS else 0

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        log_scale, shift = parameters[0], parameters[1:]
        stretched = np.exp(log_scale) * centred
        moved = stretched + intercept + (shift if num_shifts else 0.0)
        pull = weights[:, None] * _log_loss_gradient(moved, labels)
        value = float(np.dot(weights, log_loss_of(moved, labels)))
        value += 0.5 * float((log_scale / LOG_SCALE_PRIOR) ** 2 + np.sum(np.square(shift / SHIFT_PRIOR)))
        slope = np.concatenate(
            [
                [np.sum(pull * stretched) + log_scale / LOG_SCALE_PRIOR**2],
                pull.sum(axis=0)[:num_shifts] + shift / SHIFT_PRIOR**2,
            ]
        )
        return value, slope

    bounds = [(-2.0, 2.0)] + [(-1.0, 1.0)] * num_shifts
    found = minimize(objective, np.zeros(1 + num_shifts), jac=True, method="L-BFGS-B", bounds=bounds).x
    scale = float(np.exp(found[0]))
    shift = (1.0 - scale) * intercept + (found[1:] if num_shifts else 0.0)
    return Calibration(scale, tuple(float(x) for x in shift))


def _log_loss_gradient(logits: FloatArray, labels: IndexArray) -> FloatArray:
    """Derivative of `log_loss_of` by the logits, [B, O]."""
    if logits.shape[1] == 1:
        return np.asarray(expit(logits) - labels[:, None])
    gradient = softmax(logits, axis=1)
    gradient[np.arange(len(labels)), labels] -= 1.0
    return np.asarray(gradient)
