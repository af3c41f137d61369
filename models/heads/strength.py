"""Choice of the penalty's strength by cross-validated loss.

Strengths are counted in units that mean the same for any table: with all features on one scale and a normal prior
on the weights, `g` is one over the prior variance of a row's logit (for regression, of its standardised value).
No single strength is picked: solutions are averaged with the weight that their cross-validated likelihood gives
them (pseudo-BMA; Yao et al., arXiv 1704.02030, section 3.4). With 50 labels several strengths share the say, with
10,000 one has it; and an average of linear models is a linear model.

Shape letters: `n` rows, `m` rows in folds, `r` directions, `R` repeats, `P` = R · folds, `O` outputs, `S` strengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from models.features.schema import Task
from models.heads.folds import Folds
from models.heads.prediction import FloatArray
from models.heads.problem import Pace
from models.heads.solvers.basis import SpectralRows
from models.heads.solvers.losses import Loss
from models.heads.solvers.minimise import Rows, Solution, minimise, start_at_constant

GRID = tuple(float(10.0**exponent) for exponent in np.arange(2.0, -4.6, -0.5))
"""From "hardly anything is learned" to "hardly any penalty"; half decades."""

DEFAULT_GRADE = 1.0
"""Where nothing can be cross-validated: a row's logit is expected within ±2."""

FOLD_TOLERANCE = 1e-5  # of the mean loss: far below what cross-validation can tell apart
FINAL_TOLERANCE = 1e-8
_NEGLIGIBLE = 8.0  # nats behind the best: a strength with less than e^-8 of the say
_SMALL_SHARE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidated:
    """Out-of-fold logits of every strength that was tried.

    Shape: `logits` [S, R, m, O]; `losses` [S, P], summed over the held-out rows of each division.
    """

    grades: tuple[float, ...]
    logits: FloatArray
    losses: FloatArray
    num_repeats: int
    num_rows: int
    task: Task

    def shares(self, without: int | None = None) -> FloatArray:
        """Say of each strength [S], summing to 1; `without` leaves out fold number `without` of every repeat."""
        losses = self.losses.reshape(len(self.grades), self.num_repeats, -1)
        num_folds = losses.shape[2]
        if without is not None:
            losses = np.delete(losses, without, axis=2)
        total = losses.sum(axis=(1, 2)) / self.num_repeats * (num_folds / losses.shape[2])
        if self.task is Task.REGRESSION:
            total = 0.5 * self.num_rows * np.log(np.maximum(total, 1e-300))
        share = np.exp(-(total - total.min()))
        share[share < _SMALL_SHARE * share.max()] = 0.0
        return np.asarray(share / share.sum())

    def out_of_fold(self, folds: Folds) -> FloatArray:
        """Logits [R, m, O]; the say of the strengths for a fold comes from the other folds."""
        found = np.empty(self.logits.shape[1:])
        for fold in range(folds.num_folds):
            shares = self.shares(without=fold if folds.num_folds > 2 else None)
            mixed = np.tensordot(shares, self.logits, axes=1)
            held_out = folds.assignment == fold
            found[held_out] = mixed[held_out]
        return found


def cross_validate(
    rows: SpectralRows, loss: Loss, weights: torch.Tensor, folds: Folds, task: Task, pace: Pace
) -> CrossValidated:
    """Every strength on every division, strongest first, until it has clearly become too weak.

    `rows` and `weights` [m] are those of `folds.rows`.
    """
    masks = torch.from_numpy(folds.training_masks()).to(weights.dtype)
    division_weights = masks * weights[:, None]
    held_out_weights = (1.0 - masks) * weights[:, None]
    columns = torch.from_numpy(
        np.arange(folds.num_repeats)[:, None] * folds.num_folds + folds.assignment.astype(np.int64)
    )
    grades, logits, losses, objective = [], [], [], []
    solution = start_at_constant(rows, loss, division_weights)
    for grade in GRID:
        pace.check()
        solution = minimise(
            rows,
            loss,
            division_weights,
            grade * rows.total / len(weights),
            solution,
            tolerance=FOLD_TOLERANCE,
        )
        shown = solution.logits
        if task is not Task.REGRESSION:
            # Each fold's intercept knows which classes its held-out rows lack; a common one does not give that away.
            shown = shown - solution.intercepts + solution.intercepts.mean(dim=0)
        grades.append(grade)
        losses.append((held_out_weights * loss.value(shown)).sum(dim=0).double().numpy())
        logits.append(
            np.stack([shown[torch.arange(len(weights)), column].double().numpy() for column in columns])
        )
        objective.append(_nats(float(losses[-1].sum()) / folds.num_repeats, len(weights), task))
        if objective[-1] > min(objective) + _NEGLIGIBLE and objective[-1] > objective[-2]:
            break
    return CrossValidated(
        tuple(grades), np.stack(logits), np.stack(losses), folds.num_repeats, len(weights), task
    )


def fit_mixture(
    rows: Rows, total: float, loss: Loss, weights: torch.Tensor, shares: dict[float, float], pace: Pace
) -> tuple[torch.Tensor, torch.Tensor]:
    """Average of the solutions of several strengths: coefficients [r, O] and intercepts [O].

    `shares` maps strengths (as in `GRID`) to their say; `total` is the sum of squares that strengths refer to.
    """
    parts = [
        (share * solution.coefficients[:, 0], share * solution.intercepts[0])
        for share, solution in _path(rows, total, loss, weights, shares, pace)
    ]
    coefficients, intercepts = zip(*parts, strict=True)
    return torch.stack(coefficients).sum(dim=0), torch.stack(intercepts).sum(dim=0)


def _path(
    rows: Rows, total: float, loss: Loss, weights: torch.Tensor, shares: dict[float, float], pace: Pace
) -> Iterator[tuple[float, Solution]]:
    solution = start_at_constant(rows, loss, weights[:, None])
    for grade in sorted(shares, reverse=True):
        pace.check()
        if shares[grade] > 0.0:
            solution = minimise(
                rows, loss, weights[:, None], grade * total, solution, tolerance=FINAL_TOLERANCE
            )
            yield shares[grade], solution


def _nats(total_loss: float, num_rows: int, task: Task) -> float:
    if task is Task.REGRESSION:
        return 0.5 * num_rows * float(np.log(max(total_loss, 1e-300)))
    return total_loss
