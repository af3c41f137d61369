"""One of several variants of a model, by how they do out of fold, with what that says of the one that is chosen.

Shape letters: `n` fitted rows, `m` rows in folds, `V` variants, `O` outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.heads.cross_fitting import FitAndScore, TooSlow, cross_fit
from models.heads.finishing import NOT_FINISHED, Finishing, outputs_of
from models.heads.losses import mean_loss
from models.heads.prediction import FittedHead, FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """`variant` is the number of the one chosen; `judged` [m] the rows of its `scores` [m, O], which are None where
    there are no folds, or no time for them: then it is the one that stands in."""

    variant: int
    scores: FloatArray | None = None
    judged: IndexArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    finishing: Finishing = NOT_FINISHED
    report: dict[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def head_fit(
        self,
        problem: HeadProblem,
        head: FittedHead,
        report: dict[str, object],
        warnings: tuple[str, ...] = (),
    ) -> HeadFit:
        """Of the head that was fitted on all rows; `report` and `warnings` are what its kind adds."""
        outputs = None if self.scores is None else outputs_of(problem.task, self.scores)
        return HeadFit(
            head, outputs, self.judged, report | self.report, self.warnings + warnings, self.scores
        )


def choose_variant(
    problem: HeadProblem, fit_and_score: FitAndScore, *, stand_in: int, max_repeats: int, not_judged: str
) -> Chosen:
    """The variant with the smallest loss out of fold, finished by its scores; `not_judged` is the warning otherwise.

    Raises:
        Interrupted: the caller asked to stop.
    """
    folds = problem.folds
    if folds is None:
        return Chosen(stand_in)
    found = cross_fit(folds, fit_and_score, problem.pace, max_repeats=max_repeats)
    if isinstance(found, TooSlow):
        return Chosen(stand_in, warnings=(not_judged,))
    labels, weights = problem.labels[folds.rows], problem.weights[folds.rows]
    losses = [mean_loss(problem.task, scores, labels, weights) for scores in found.scores]
    best = int(np.argmin(losses))
    finishing = Finishing.fit(problem, found.scores[best])
    report: dict[str, object] = {
        **finishing.report(),
        "num_folds": folds.num_folds,
        "num_repeats": found.num_repeats,
        "num_judged": len(folds.rows),
    }
    return Chosen(best, found.scores[best], folds.rows, finishing, report)
