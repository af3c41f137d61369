"""How a head's scores are spread over the rows of a table: what a decision with a limited capacity is made from.

Shape letters: `s` sampled rows, `q` stored quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import BundleError
from models.heads.prediction import FloatArray

_LINEAR_STEPS = 1_000
_TAIL_STEPS = 100  # between one sampled row and a thousandth of them, where a linear grid has nothing
_NOISE = 1e-4  # single precision leaves about a tenth of it


@dataclass(frozen=True, slots=True)
class ScoreQuantiles:
    """Scores that are exceeded by at most given shares of the rows.

    Shape: `shares` [q] ascending from 0, `scores` [q] descending. At most `shares[i]` of the sampled rows have a score
    strictly above `scores[i]`. `num_rows` is the size of the table that the sample of `num_sampled` rows stands for.

    Example:
        >>> found = ScoreQuantiles.of(np.linspace(0.0, 1.0, 101), num_rows=10_000)
        >>> round(found.bound(0.05), 2)
        0.95
    """

    shares: tuple[float, ...]
    scores: tuple[float, ...]
    num_rows: int
    num_sampled: int

    @classmethod
    def of(cls, sample: FloatArray, *, num_rows: int) -> ScoreQuantiles:
        """From the scores `sample` [s] of at least one row, drawn at random."""
        ordered = np.sort(sample)[::-1]
        count = len(ordered)
        first = min(1.0 / count, 1.0 / _LINEAR_STEPS)
        tail = np.geomspace(first, 1.0 / _LINEAR_STEPS, _TAIL_STEPS)
        shares = np.unique(np.concatenate([np.linspace(0.0, 1.0, _LINEAR_STEPS + 1), tail]))
        # The score that `floor(share * count)` rows may exceed: the next one in descending order.
        places = np.minimum(np.floor(shares * count + 1e-9).astype(np.int64), count - 1)
        return cls(tuple(shares.tolist()), tuple(ordered[places].tolist()), num_rows, count)

    def bound(self, share: float) -> float:
        """The probability that at most `share` of the rows exceed; rows with exactly this one are not among them.

        A little above the stored score, by `_NOISE` on the logit scale: fitting and serving compute it in products of
        different shapes, and of many rows alike all would slip over it.
        """
        if share >= 1.0:
            return -math.inf
        place = int(np.searchsorted(np.array(self.shares), share + 1e-12, side="right")) - 1
        score = self.scores[max(place, 0)]
        odds = score * math.exp(_NOISE)
        return max(score, odds / (1.0 - score + odds))  # never below it by rounding

    def to_json(self) -> dict[str, Any]:
        return {
            "num_rows": self.num_rows,
            "num_sampled": self.num_sampled,
            "shares": list(self.shares),
            "scores": list(self.scores),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> ScoreQuantiles:
        """Raises: BundleError when it is not what `to_json` gives."""
        try:
            shares, scores = tuple(map(float, body["shares"])), tuple(map(float, body["scores"]))
            found = cls(shares, scores, int(body["num_rows"]), int(body["num_sampled"]))
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("the head's score quantiles are damaged; fit it again") from error
        is_ordered = bool((np.diff(shares) > 0).all()) and bool((np.diff(scores) <= 0).all())
        if len(shares) != len(scores) or not shares or shares[0] != 0.0 or not is_ordered:
            raise BundleError("the head's score quantiles are not monotone; fit it again")
        return found
