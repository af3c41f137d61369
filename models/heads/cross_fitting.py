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


class TooSlow(Exception):
    """There is not enough time left for a single repeat, which would take about `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a repeat takes about {seconds:.0f} s")
        self.seconds = seconds


def cross_fit(folds: Folds, fit_and_score: FitAndScore, pace: Pace, *, max_repeats: int) -> CrossFitted:
    """Fit once per division, at most `max_repeats` repeats, no more of them than the time allows.

    Raises:
        TooSlow: there is no time for one repeat, as its first divisions show.
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
                raise TooSlow(took * folds.num_folds)
        num_done += 1
        if took * folds.num_folds > pace.seconds_left:
            break
    assert total is not None  # folds have at least one repeat
    return CrossFitted(total / num_done, num_done)
