"""`linear`: ridge, logistic or multinomial regression on the row features.

Shape letters: `n` fitted rows, `m` rows in folds, `F` row features, `r` directions, `O` outputs, `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models.features.schema import Task
from models.heads.finishing import NOT_FINISHED, Finishing, outputs_of
from models.heads.linear_head import LinearHead
from models.heads.losses import centre_and_spread
from models.heads.prediction import FloatArray
from models.heads.problem import HeadFit, HeadProblem
from models.heads.scaling import FeatureScaling
from models.heads.solvers.basis import RawRows, SpectralRows
from models.heads.solvers.losses import BinaryLoss, Loss, MulticlassLoss, SquaredLoss
from models.heads.strength import DEFAULT_GRADE, CrossValidated, cross_validate, fit_mixture


class LinearHeadConfig(BaseModel):
    """A linear head; its strength is chosen by cross-validation inside the labels, so it has no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["linear"] = "linear"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Fit, calibrate and judge out of fold.

        Raises:
            Interrupted: the caller asked to stop.
        """
        return solve(problem).head_fit(problem)


def fit_plain(problem: HeadProblem, scaling: FeatureScaling) -> HeadFit:
    """The linear head on the features alone that `scaling` does not take out; the others get weight 0.

    Raises:
        Interrupted: the caller asked to stop.
    """
    kept = scaling.gain.nonzero().squeeze(1)
    part = replace(
        problem,
        features=problem.features.index_select(1, kept),
        scaling=FeatureScaling(scaling.centre[kept], scaling.gain[kept]),
        plain_scaling=None,
    )
    fit = solve(part).head_fit(part)
    assert isinstance(fit.head, LinearHead)
    weight = torch.zeros(len(fit.head.weight), len(scaling.gain))
    weight[:, kept] = fit.head.weight
    return replace(
        fit, head=replace(fit.head, weight=weight), report={"features": "straight lines", **fit.report}
    )


def solve(problem: HeadProblem, shares: dict[float, float] | None = None) -> LinearSolution:
    """The solution on all rows; `shares` of the strengths are chosen on the folds unless they are given.

    Raises:
        Interrupted: the caller asked to stop.
    """
    target = StandardisedLabels.of(problem)
    folds = problem.folds
    sample = np.arange(len(problem.labels)) if folds is None else folds.rows
    index = torch.from_numpy(sample)
    sample_weights = problem.weights[sample] / problem.weights[sample].mean()
    rows = SpectralRows.of(problem.scaling.apply(problem.features[index]), torch.from_numpy(sample_weights))
    dtype = rows.coordinates.dtype
    weights = torch.from_numpy(sample_weights).to(dtype)
    found: CrossValidated | None = None
    if shares is None:
        shares = {DEFAULT_GRADE: 1.0}
        if folds is not None:
            loss = target.loss(sample, dtype)
            found = cross_validate(rows, loss, weights, folds, problem.task, problem.pace)
            shares = dict(zip(found.grades, found.shares().tolist(), strict=True))
    weight, bias = _fit_all(problem, target, rows, shares)
    return LinearSolution(weight, bias, shares, target, found)


@dataclass(frozen=True, slots=True, eq=False)
class LinearSolution:
    """Weight [O, F] and bias [O], float64, from scaled features to `target`.

    `shares` is the say of each strength; `found` what it was chosen by, None where it was not.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    shares: dict[float, float]
    target: StandardisedLabels
    found: CrossValidated | None

    def head_fit(self, problem: HeadProblem) -> HeadFit:
        """The head on raw features, calibrated and judged out of fold."""
        return _assemble(problem, self.target, self.found, self.shares, self.weight, self.bias)


class StandardisedLabels:
    """Labels on the scale that is fitted: numbers are standardised, classes stay as they are."""

    def __init__(self, problem: HeadProblem, centre: float, spread: float) -> None:
        self._problem, self.centre, self.spread = problem, centre, spread

    @classmethod
    def of(cls, problem: HeadProblem) -> StandardisedLabels:
        if problem.task is not Task.REGRESSION:
            return cls(problem, 0.0, 1.0)
        return cls(problem, *centre_and_spread(problem.labels, problem.weights))

    def of_rows(self, rows: np.ndarray) -> FloatArray:
        """Of the rows at these positions."""
        return np.asarray((self._problem.labels[rows] - self.centre) / self.spread)

    def loss(self, rows: np.ndarray, dtype: torch.dtype) -> Loss:
        labels = self.of_rows(rows)
        if self._problem.task is Task.REGRESSION:
            return SquaredLoss(torch.from_numpy(labels).to(dtype))
        if self._problem.task is Task.BINARY:
            return BinaryLoss(torch.from_numpy(labels).to(dtype))
        return MulticlassLoss(torch.from_numpy(labels), self._problem.num_outputs)


def _fit_all(
    problem: HeadProblem, target: StandardisedLabels, rows: SpectralRows, shares: dict[float, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight [O, F] and bias [O], float64, on standardised features, from all rows."""
    num_rows = len(problem.labels)
    total = rows.total / len(rows.coordinates)
    every = np.arange(num_rows)
    if num_rows == len(rows.coordinates):
        weights = torch.from_numpy(problem.weights).to(rows.coordinates.dtype)
        loss = target.loss(every, rows.coordinates.dtype)
        coefficients, intercepts = fit_mixture(rows, total, loss, weights, shares, problem.pace)
    else:
        raw = RawRows(
            problem.features,
            problem.scaling.centre,
            problem.scaling.gain,
            rows,
            rows.eigenvalues.float() * (num_rows / len(rows.coordinates)),
        )
        weights = torch.from_numpy(problem.weights).float()
        loss = target.loss(every, torch.float32)
        coefficients, intercepts = fit_mixture(raw, total, loss, weights, shares, problem.pace)
    weight = rows.weight(coefficients).T
    return weight, intercepts.double() - weight @ rows.mean


def _assemble(
    problem: HeadProblem,
    target: StandardisedLabels,
    found: CrossValidated | None,
    shares: dict[float, float],
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> HeadFit:
    """The head on raw features, its finishing, and the out-of-fold outputs."""
    weight, bias = problem.scaling.fold(weight * target.spread, bias * target.spread + target.centre)
    finishing = NOT_FINISHED
    scores: FloatArray | None = None
    outputs: FloatArray | None = None
    judged = np.empty(0, dtype=np.int64)
    report: dict[str, object] = {
        "strengths": {f"{grade:.3g}": round(share, 4) for grade, share in shares.items() if share}
    }
    if found is not None and problem.folds is not None:
        judged = problem.folds.rows
        scores = found.out_of_fold(problem.folds).mean(axis=0) * target.spread + target.centre
        finishing = Finishing.fit(problem, scores)
        outputs = outputs_of(problem.task, scores)
        report.update(finishing.report())
        report.update(
            num_folds=problem.folds.num_folds, num_repeats=problem.folds.num_repeats, num_judged=len(judged)
        )
    head = LinearHead(
        problem.task,
        problem.classes,
        problem.view,
        problem.encoder_fingerprint,
        weight,
        bias,
        finishing,
    )
    return HeadFit(head, outputs, judged, report, scores=scores)
