"""Scores of rows from models that were fitted without them, over the divisions that all head kinds share.

Shape letters: `m` rows in folds, `V` variants of a model scored at once, `b` held-out rows, `O` outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.heads.folds import Folds
from models.heads.prediction import FloatArray, IndexArray
from models.heads.problem import Pace

FitAndScore = Callable[[IndexArray, IndexArray, int], FloatArray]
"""Positions of fitted rows, of held-out rows [b], and the division's number, to scores [V, b, O]."""


@dataclass(frozen=True, slots=True, eq=False)
class CrossFitted:
    """Shape: `scores` [V, m, O], mean over the repeats that there was time for."""

    scores: FloatArray
    num_repeats: int


@dataclass(frozen=True, slots=True)
class TooSlow:
    """There was not enough time left for a single repeat, which would have taken about `seconds`."""

    seconds: float


def cross_fit(
    folds: Folds, fit_and_score: FitAndScore, pace: Pace, *, max_repeats: int
) -> CrossFitted | TooSlow:
    """Fit once per division, at most `max_repeats` repeats, no more of them than the time allows.

    Too little time for one repeat, as its first divisions show, is an answer: every kind has a way to do without.

    Raises:
        Interrupted: the caller asked to stop.
    """
    total: FloatArray | None = None
    num_done = 0
    for repeat, assignment in enumerate(folds.assignment[:max_repeats]):
        started = time.monotonic()
        for fold in range(folds.num_folds):
            pace.check()
            held_out = assignment == fold
            found = fit_and_score(
                folds.rows[~held_out], folds.rows[held_out], repeat * folds.num_folds + fold
            )
            if total is None:
                total = np.zeros((len(found), len(folds.rows), found.shape[2]))
            total[:, held_out] += found
            took = (time.monotonic() - started) / (fold + 1)
            if repeat == 0 and took * (folds.num_folds - fold - 1) > pace.seconds_left:
                return TooSlow(took * folds.num_folds)
        num_done += 1
        if took * folds.num_folds > pace.seconds_left:
            break
    assert total is not None  # folds have at least one repeat
    return CrossFitted(total / num_done, num_done)
