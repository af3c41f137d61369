"""A metric's value with what is needed for its interval, and for the interval of a difference of two.

Every metric here is, to first order, a mean of per-row influences (van der Vaart, Asymptotic Statistics, section
20.1): its variance is the sum of their squares, and the variance of a difference on the same rows is the sum of
the squares of their differences. For the AUC this is DeLong's variance (DeLong, DeLong & Clarke-Pearson 1988).

Shape letters: `n` judged rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

FloatArray = npt.NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A metric on `n` rows; `value` is None where it does not exist, `reason` then says why.

    `influence` [n] on the metric's own scale. `scale` is where the interval is symmetric: a proportion on the logit
    scale, a positive loss on the log scale, R² on that of log(1 − R²). `num_units` is what the Student quantile
    counts: rows, or the labels of the rarer class.
    """

    value: float | None
    influence: FloatArray
    scale: Literal["identity", "logit", "log", "log_complement"]
    num_units: int
    reason: str | None = None

    @classmethod
    def missing(cls, reason: str) -> Estimate:
        return cls(None, np.empty(0), "identity", 0, reason)

    @property
    def standard_error(self) -> float:
        return float(np.sqrt(np.square(self.influence).sum()))

    def interval(self, level: float = LEVEL) -> Interval | None:
        """Two-sided interval, inside the metric's range; None where one row or label says nothing of spread."""
        if self.value is None or self.num_units < 2:
            return None
        reach = student(self.num_units, level) * self.standard_error
        if self.scale == "identity":
            return Interval(self.value - reach, self.value + reach)
        if self.scale == "logit":
            return _proportion(self.value, reach, self.num_units, level)
        if self.scale == "log":
            low, high = _positive(self.value, reach)
            return Interval(low, high)
        low, high = _positive(1.0 - self.value, reach)
        return Interval(1.0 - high, 1.0 - low)


def student(num_units: int, level: float = LEVEL) -> float:
    """Two-sided Student quantile with `num_units` − 1 degrees of freedom."""
    return float(-stdtrit(num_units - 1, (1.0 - level) / 2.0))


def mean_estimate(
    losses: FloatArray, weights: FloatArray, scale: Literal["identity", "logit", "log"]
) -> Estimate:
    """Weighted mean of per-row losses [n]."""
    value = float(np.average(losses, weights=weights))
    influence = weights * (losses - value) / weights.sum() * small_sample(len(losses))
    return Estimate(value, influence, scale, len(losses))


def small_sample(count: int) -> float:
    """Factor that makes the sum of squared influences the unbiased variance."""
    return math.sqrt(count / max(count - 1, 1))


def _proportion(value: float, reach: float, num_units: int, level: float) -> Interval:
    if 0.0 < value < 1.0 and reach > 0.0:
        centre = math.log(value / (1.0 - value))
        step = reach / (value * (1.0 - value))
        return Interval(_expit(centre - step), _expit(centre + step))
    # At 0 or 1 the influences vanish. Clopper-Pearson with the units as independent trials still bounds it.
    bound = ((1.0 - level) / 2.0) ** (1.0 / num_units)
    if value >= 1.0:
        return Interval(bound, 1.0)
    return Interval(0.0, 1.0 - bound) if value <= 0.0 else Interval(value, value)


def _expit(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else 1.0 - 1.0 / (1.0 + math.exp(min(x, 700.0)))


def _positive(value: float, reach: float) -> tuple[float, float]:
    if value <= 0.0:
        return value, value
    factor = math.exp(min(reach / value, 700.0))
    return value / factor, value * factor
