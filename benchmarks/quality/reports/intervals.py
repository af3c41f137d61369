"""Means with 95 % intervals, of figures that come in splits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """`low` and `high` are None where one value tells nothing of the spread; `num` is how many the interval rests on."""

    mean: float
    low: float | None
    high: float | None
    num: int

    def to_json(self) -> dict[str, Any]:
        return {
            name: round(value, 5) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }

    def text(self, digits: int, *, signed: bool = False) -> str:
        sign = "+" if signed else ""
        if self.low is None or self.high is None:
            return f"{self.mean:{sign}.{digits}f}"
        return f"{self.mean:{sign}.{digits}f} [{self.low:{sign}.{digits}f}, {self.high:{sign}.{digits}f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of independent values, with the t interval. `values` must not be empty."""
    found = np.asarray(values, dtype=np.float64)
    mean = float(found.mean())
    if len(found) < 2:
        return Estimate(mean, None, None, len(found))
    half = float(t.ppf(0.5 + CONFIDENCE / 2, len(found) - 1) * found.std(ddof=1) / math.sqrt(len(found)))
    return Estimate(mean, mean - half, mean + half, len(found))


def over_splits(values: Mapping[tuple[int, int], float]) -> Estimate:
    """Of values by (split, draw): draws of a split share its test rows, so that splits are what is counted.

    With one split, draws are, and the interval is of that split alone.
    """
    by_split: dict[int, list[float]] = {}
    for (split, _), value in values.items():
        by_split.setdefault(split, []).append(value)
    if len(by_split) == 1:
        return estimate(list(values.values()))
    return estimate([float(np.mean(found)) for found in by_split.values()])
