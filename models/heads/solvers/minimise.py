"""Minimisation of penalised linear models, all problems of one strength at once.

    sum_i w_ip · loss(z_i · u_p + b_p, y_i)  +  strength / 2 · |u_p|²        for every problem p

Limited-memory BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.5), preconditioned by the diagonal that
the Hessian nearly is in the eigenbasis of the rows. Logits are linear in the step, so the line search needs no
further pass over the rows: one product forward and one back per iteration, shared by all problems.

Shape letters: `n` rows, `r` directions, `P` problems, `O` outputs, `D` = (r + 1) · O parameters of a problem.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import torch

from models.heads.solvers.losses import Loss

MEMORY = 10
MAX_ITERATIONS = 200
_MAX_HALVINGS = 20
_ARMIJO = 1e-4


class Rows(Protocol):
    """Rows in some basis; see `basis.py`."""

    @property
    def eigenvalues(self) -> torch.Tensor: ...
    def forward(self, coefficients: torch.Tensor) -> torch.Tensor: ...
    def adjoint(self, rows: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Shape: `coefficients` [r, P, O]; `intercepts` [P, O]; `logits` [n, P, O] of all rows."""

    coefficients: torch.Tensor
    intercepts: torch.Tensor
    logits: torch.Tensor


def start_at_constant(rows: Rows, loss: Loss, weights: torch.Tensor) -> Solution:
    """The models without features, where every path begins; `weights` [n, P]."""
    intercepts = loss.constant(weights)
    coefficients = weights.new_zeros(len(rows.eigenvalues), *intercepts.shape)
    return Solution(coefficients, intercepts, intercepts.expand(len(weights), -1, -1).clone())


def minimise(
    rows: Rows,
    loss: Loss,
    weights: torch.Tensor,
    strength: float,
    start: Solution,
    *,
    tolerance: float,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """Solve all problems from `start` (warm: the solution of a stronger penalty).

    `weights` [n, P] are zero on rows that a problem does not fit. Stops when no problem can expect to lower its
    mean loss by more than `tolerance`.
    """
    state = _Descent(rows, loss, weights, strength, start)
    for _ in range(max_iterations):
        if not state.step(tolerance):
            break
    return state.solution()


class _Descent:
    """State of the iteration; every array over problems has `P` last but one or last."""

    def __init__(
        self, rows: Rows, loss: Loss, weights: torch.Tensor, strength: float, start: Solution
    ) -> None:
        self._rows, self._loss, self._weights, self._strength = rows, loss, weights, strength
        self._total = weights.sum(dim=0)
        self._coefficients, self._intercepts = start.coefficients.clone(), start.intercepts.clone()
        self._logits = start.logits.clone()
        share = self._total / self._total.max()
        curvature = loss.typical_curvature(weights)
        diagonal = rows.eigenvalues[:, None, None] * (share[:, None] * curvature) + strength
        self._inverse = torch.cat([diagonal, (self._total[:, None] * curvature)[None]]).reciprocal()
        self._steps: deque[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = deque(maxlen=MEMORY)
        self._gradient = self._compute_gradient()

    def solution(self) -> Solution:
        return Solution(self._coefficients, self._intercepts, self._logits)

    def step(self, tolerance: float) -> bool:
        """One iteration; false once all problems have converged."""
        direction = -self._apply_inverse_hessian(self._gradient)
        slope = (direction * self._gradient).sum(dim=(0, 2))
        # Half the slope is what a quadratic model would still gain (the Newton decrement).
        active = -0.5 * slope > tolerance * self._total
        if not bool(active.any()):
            return False
        direction = direction * active[:, None]
        logit_step = self._product(direction)
        size = self._line_search(direction, logit_step, slope)
        move = size[:, None] * direction
        self._coefficients += move[:-1]
        self._intercepts += move[-1]
        self._logits += size[:, None] * logit_step
        previous = self._gradient
        self._gradient = self._compute_gradient()
        change = self._gradient - previous
        product = (change * move).sum(dim=(0, 2))
        enough = product > 1e-10 * (change.square().sum(dim=(0, 2)) * move.square().sum(dim=(0, 2))).sqrt()
        self._steps.append((move, change, torch.where(enough, product.clamp_min(1e-300).reciprocal(), 0.0)))
        return bool((size > 0).any())

    def _product(self, parameters: torch.Tensor) -> torch.Tensor:
        """Parameters [r + 1, P, O] to logits [n, P, O]."""
        _, num_problems, num_outputs = parameters.shape
        flat = self._rows.forward(parameters[:-1].reshape(len(parameters) - 1, -1))
        return flat.view(-1, num_problems, num_outputs) + parameters[-1]

    def _compute_gradient(self) -> torch.Tensor:
        pull = self._loss.gradient(self._logits) * self._weights[:, :, None]
        body = self._rows.adjoint(pull.reshape(len(pull), -1)).view(-1, *pull.shape[1:])
        return torch.cat([body + self._strength * self._coefficients, pull.sum(dim=0)[None]])

    def _apply_inverse_hessian(self, vector: torch.Tensor) -> torch.Tensor:
        """The two-loop recursion, with one scalar per problem."""
        factors = []
        for move, change, inverse_product in reversed(self._steps):
            factor = inverse_product * (move * vector).sum(dim=(0, 2))
            vector = vector - factor[:, None] * change
            factors.append(factor)
        vector = self._inverse * vector
        for (move, change, inverse_product), factor in zip(self._steps, reversed(factors), strict=True):
            back = inverse_product * (change * vector).sum(dim=(0, 2))
            vector = vector + (factor - back)[:, None] * move
        return vector

    def _line_search(
        self, direction: torch.Tensor, logit_step: torch.Tensor, slope: torch.Tensor
    ) -> torch.Tensor:
        """Step size per problem [P]: a Newton step along the line, halved until the objective falls enough."""
        curvature = (self._weights * self._loss.curvature(self._logits, logit_step)).sum(dim=0)
        body = direction[:-1]
        curvature = curvature + self._strength * body.square().sum(dim=(0, 2))
        size = torch.where(slope < 0, (-slope / curvature.clamp_min(1e-30)), 0.0)
        start = (self._weights * self._loss.value(self._logits)).sum(dim=0)
        cross = self._strength * (body * self._coefficients).sum(dim=(0, 2))
        square = 0.5 * self._strength * body.square().sum(dim=(0, 2))
        # Rounding of the sums: below it a decrease can be neither seen nor asked for.
        noise = 8 * torch.finfo(start.dtype).eps * start.abs()
        for _ in range(_MAX_HALVINGS):
            value = (self._weights * self._loss.value(self._logits + size[:, None] * logit_step)).sum(dim=0)
            gain = value - start + size * cross + size.square() * square
            bad = (gain > _ARMIJO * size * slope + noise) & (size > 0)
            if not bool(bad.any()):
                return size
            size = torch.where(bad, 0.5 * size, size)
        return torch.where(bad, 0.0, size)
