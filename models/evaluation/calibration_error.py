"""How far probabilities are from the shares they promise, beside what a perfect model of so many rows would show.

The calibration error of few rows is mostly noise: of 200 rows a perfectly calibrated model shows about .06. The
figure therefore never stands alone.

Shape letters: `n` judged rows, `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.evaluation.judged import FloatArray, IndexArray

NUM_BINS = 10
NUM_SIMULATIONS = 100
_MAX_CELLS = 4_000_000
_SEED = 7


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """`value`, and of models that are perfectly calibrated the mean and the 95 % point on rows with these probabilities."""

    value: float
    of_perfect: float
    of_perfect_high: float


def calibration_error(probabilities: FloatArray, labels: IndexArray, weights: FloatArray) -> CalibrationError:
    """Mean gap over ten bins of equal width (expected calibration error; Guo et al., arXiv 1706.04599, section 2).

    Of `probabilities` [n, 2] the positive class's, of more classes the most probable one's, at `labels` [n] with
    `weights` [n]; n is at least 1.
    """
    if probabilities.shape[1] == 2:
        claimed, hit = probabilities[:, 1], labels == 1
    else:
        claimed, hit = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    shares = weights / weights.sum()
    bins = np.minimum((claimed * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    generator = np.random.default_rng(_SEED)
    num_drawn = max(10, min(NUM_SIMULATIONS, _MAX_CELLS // len(claimed)))
    drawn = [
        _gap(bins, shares, (generator.random(len(claimed)) < claimed) - claimed) for _ in range(num_drawn)
    ]
    return CalibrationError(
        _gap(bins, shares, hit - claimed), float(np.mean(drawn)), float(np.quantile(drawn, 0.95))
    )


def _gap(bins: IndexArray, shares: FloatArray, differences: FloatArray) -> float:
    return float(np.abs(np.bincount(bins, weights=shares * differences, minlength=NUM_BINS)).sum())
