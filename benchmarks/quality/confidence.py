"""Predictors that also say how sure they are, and systems that have work to share: what only some systems offer.

Shape letters: `b` rows to predict, `K` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.quality.trial import FloatArray, Predict, Trial


@dataclass(frozen=True, slots=True, eq=False)
class Confident:
    """Outputs as of `Predict`; `interval` [b, 2] of numbers, or `in_set` [b, K] of classes, where there are any."""

    outputs: FloatArray
    interval: FloatArray | None
    in_set: npt.NDArray[np.bool_] | None


@runtime_checkable
class SaysHowSure(Protocol):
    """A `Predict` whose intervals or sets promise to hold the truth with probability `coverage`."""

    def with_confidence(self, frame: pl.DataFrame, coverage: float) -> Confident: ...


@runtime_checkable
class Prepares(Protocol):
    """A system with work that many trials share; `prepare` does it unless it is done, and says what it took."""

    def prepare(self, trial: Trial) -> dict[str, Any]: ...


@runtime_checkable
class FitsMany(Protocol):
    """A system for which many targets of the same rows are cheaper than each alone."""

    def fit_many(self, trials: Sequence[Trial]) -> list[Predict]: ...
    def predict_many(self, predicts: Sequence[Predict], frame: pl.DataFrame) -> list[FloatArray]: ...
