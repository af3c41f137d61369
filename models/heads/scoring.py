"""Heads whose answer starts from one number per output: by these, heads of several kinds are averaged."""

from __future__ import annotations

from typing import Protocol, TypeGuard

from models.heads.finishing import Finishing
from models.heads.prediction import FittedHead, FloatArray, HeadPrediction, Inputs


class ScoringHead(FittedHead, Protocol):
    """What `FinishesScores` makes of a head with scores and their finishing."""

    @property
    def finishing(self) -> Finishing: ...

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits (regression: values) float64 [B, O] before calibration, row by row."""


class FinishesScores:
    """Gives a head with `scores` and `finishing` its `finish`."""

    __slots__ = ()

    def finish(self: ScoringHead, inputs: Inputs, coverage: float = 0.9) -> HeadPrediction:
        """Inputs to predictions, each row by itself.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """
        return self.finishing.apply(self.task, self.scores(inputs), coverage)


def is_scoring(head: FittedHead) -> TypeGuard[ScoringHead]:
    """Whether a head can be a member of a blend."""
    return isinstance(head, FinishesScores)
