"""`auto`: the best head within the budget, which is several kinds averaged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.features.schema import Task
from models.heads.blend_head import BlendHead
from models.heads.blending import blend_weights, is_real_gain, out_of_fold_blend
from models.heads.correction import can_be_corrected, fit_correction
from models.heads.finishing import Finishing, outputs_of
from models.heads.forest import MAX_LABELS, ForestHeadConfig
from models.heads.full import tune
from models.heads.full_head import FULL
from models.heads.gbdt import GbdtHeadConfig
from models.heads.linear import fit_plain, solve
from models.heads.prediction import FloatArray
from models.heads.problem import HeadFit, HeadProblem
from models.heads.scoring import ScoringHead, is_scoring

LATE = "trees were left out of the blend: time is short; raise max_seconds to change that"
MIN_TUNED_LABELS = 2_000  # below, tuning the encoder gained nothing that could be told from noise
TUNED_SHARE = 0.6  # of the time left


class AutoHeadConfig(BaseModel):
    """A linear head and trees, weighted by how they do out of fold; one of them where the others have no say.

    With few labels a second linear head, on straight lines of the columns alone, a random forest, and small boosted trees
    that correct the linear head (of numbers: that stand alone); with many, boosted trees alone, and a head with an encoder
    of its own where that is a gain beyond noise: its pass costs time wherever it predicts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto"] = "auto"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Fit every kind there is time for, then the blend; a single kind where labels are too few to weigh them by.

        Raises:
            Interrupted: the caller asked to stop.
        """
        solution = solve(problem)
        linear = solution.head_fit(problem)
        if problem.folds is None:
            return linear
        if problem.pace.seconds_left <= 0.0:
            return replace(linear, warnings=(*linear.warnings, LATE))
        trees = [fit for fit in _trees(problem, linear) if fit is not None and fit.scores is not None]
        if not trees:
            return replace(linear, warnings=(*linear.warnings, LATE))
        fits = [linear, *_straight_lines(problem), *trees]
        found = blend(problem, fits)
        if problem.tunable is None or len(problem.labels) < MIN_TUNED_LABELS:
            return found
        deadline = time.monotonic() + TUNED_SHARE * problem.pace.seconds_left
        paced = replace(problem, pace=replace(problem.pace, deadline=deadline))
        return _with_tuned(problem, found, fits, tune(paced, solution))


def _straight_lines(problem: HeadProblem) -> Iterator[HeadFit]:
    """A second linear head, on columns as they are, while labels are few."""
    scaling = problem.plain_scaling
    if scaling is not None and bool(scaling.gain.any()) and len(problem.labels) <= MAX_LABELS:
        yield fit_plain(problem, scaling)


def _trees(problem: HeadProblem, linear: HeadFit) -> Iterator[HeadFit | None]:
    """Fits of the members besides the linear head."""
    if len(problem.labels) > MAX_LABELS:
        yield GbdtHeadConfig().fit(problem)
        return
    yield ForestHeadConfig().fit(problem)
    if can_be_corrected(problem, linear):
        yield fit_correction(problem, linear)
    elif problem.task is Task.REGRESSION:
        yield GbdtHeadConfig().fit(problem)


def _with_tuned(problem: HeadProblem, found: HeadFit, fits: Sequence[HeadFit], tuned: HeadFit) -> HeadFit:
    """The blend of `fits` and `tuned`, or `found`, that of `fits` alone, where it is no worse beyond noise."""
    assert problem.folds is not None
    if tuned.head.kind != FULL:
        return replace(found, report=found.report | {"not_tuned": tuned.warnings[-1]})
    more = blend(problem, [*fits, tuned])
    rows = problem.folds.rows
    labels, weights = problem.labels[rows], problem.weights[rows]
    if is_real_gain(problem.task, _calibrated(found), _calibrated(more), labels, weights):
        return more
    said = "a tuned encoder made no difference beyond noise, and costs a pass of its own"
    return replace(found, report=found.report | {"not_tuned": said})


def blend(problem: HeadProblem, fits: Sequence[HeadFit]) -> HeadFit:
    """One head of several fitted on the same folds; the fit of the only one with a say as it is."""
    assert problem.folds is not None  # without folds there is nothing to weigh members by
    rows = problem.folds.rows
    labels, weights = problem.labels[rows], problem.weights[rows]
    scores = [_calibrated(fit) for fit in fits]
    say = blend_weights(problem.task, scores, labels, weights)
    report_of_members = [
        {"kind": fit.head.kind, "weight": round(float(weight), 4), **fit.report}
        for fit, weight in zip(fits, say, strict=True)
    ]
    warnings = tuple(warning for fit in fits for warning in fit.warnings)
    kept = np.flatnonzero(say).tolist()
    if len(kept) == 1:
        fit = fits[kept[0]]
        return replace(fit, report=fit.report | {"tried": report_of_members}, warnings=warnings)
    found = out_of_fold_blend(problem.task, scores, labels, weights, problem.folds)
    finishing = Finishing.fit(problem, found)
    head = BlendHead(tuple(_scoring(fits[number]) for number in kept), tuple(say[kept].tolist()), finishing)
    report: dict[str, object] = {
        **finishing.report(),
        "num_folds": problem.folds.num_folds,
        "num_repeats": problem.folds.num_repeats,
        "num_judged": len(rows),
        "members": report_of_members,
    }
    return HeadFit(head, outputs_of(problem.task, found), rows, report, warnings, found)


def _calibrated(fit: HeadFit) -> FloatArray:
    assert fit.scores is not None  # fitted with folds
    return _scoring(fit).finishing.calibrated(fit.scores)


def _scoring(fit: HeadFit) -> ScoringHead:
    head = fit.head
    assert is_scoring(head)  # of all kinds that are blended
    return head
