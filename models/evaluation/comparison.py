"""Two models on the same labelled rows: the difference of their primary metric, with its interval.

Shape letters: `n` common rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.estimates import student
from models.evaluation.judged import JudgedRows, Part
from models.evaluation.metrics import PRIMARY, estimate_all

MIN_COMMON_ROWS = 20
POINTS = 100.0
METRIC_WORDS = {"auc": "AUC", "macro_auc": "macro AUC", "r2": "R²"}


def points_text(points: float, *, signed: bool = False) -> str:
    """One decimal; nothing has no sign, and what is less than can be written is said to be less.

    >>> points_text(-0.04, signed=True), points_text(0.04), points_text(0.0), points_text(1.25, signed=True)
    ('0.0', '<0.1', '0.0', '+1.2')
    """
    text = f"{points:+.1f}" if signed else f"{points:.1f}"
    if float(text) != 0.0:
        return text
    return "0.0" if signed or points == 0.0 else "<0.1"


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """`difference` (new minus old) of `metric` with its 95 % interval [`low`, `high`]; `on` which part,
    and on how many rows of it.

    All three are None where the rows cannot tell, and `reason` says why.
    """

    metric: str
    on: Part
    num_rows: int
    difference: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    @property
    def not_worse(self) -> bool:
        """Whether the rows do not show the new model to be worse: the interval reaches zero or more.

        Where they cannot tell, nothing speaks for replacing what is there: false.
        """
        return self.high is not None and self.high >= 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "metric": self.metric,
            "on": self.on,
            "difference": self.difference,
            "low": self.low,
            "high": self.high,
            "n": self.num_rows,
            "reason": self.reason,
        }

    @property
    def sentence(self) -> str:
        """For people: `+0.8 ± 0.5 AUC points on 500 labels`."""
        if self.difference is None or self.high is None:
            return f"cannot be compared: {self.reason}"
        reach = (self.high - self.difference) * POINTS
        metric = METRIC_WORDS[self.metric]
        gap = points_text(self.difference * POINTS, signed=True)
        return f"{gap} ± {points_text(reach)} {metric} points on {self.num_rows} labels"


def compare_paired(new: JudgedRows, old: JudgedRows) -> PairedComparison:
    """Compare on the rows that both have been judged on.

    Rows are the same by their identity; where one of the two has none, by their number, which means something within
    one snapshot only: the caller's duty. Where labels of a row differ between the two (a label was corrected, a cell
    was updated), the new one counts.
    """
    metric = PRIMARY[new.task]
    if new.task is not old.task or new.num_classes != old.num_classes:
        return PairedComparison(
            metric, new.on, 0, None, None, None, "the heads have different tasks or classes"
        )
    mine, theirs = _common(new, old)
    if len(mine) < MIN_COMMON_ROWS:
        reason = f"{len(mine)} labels in common, {MIN_COMMON_ROWS} are needed"
        return PairedComparison(metric, new.on, len(mine), None, None, None, reason)
    mine_rows = new.at(mine)
    there = old.at(theirs)
    theirs_rows = JudgedRows(
        new.task, new.on, mine_rows.rows, mine_rows.labels, there.outputs, mine_rows.weights
    )
    return difference(mine_rows, theirs_rows)


def _common(new: JudgedRows, old: JudgedRows) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Positions in `new` and in `old` of the rows that are in both, in one order."""
    if new.identities is not None and old.identities is not None:
        _, mine, theirs = np.intersect1d(new.identities, old.identities, return_indices=True)
    else:
        _, mine, theirs = np.intersect1d(new.rows, old.rows, return_indices=True)
    return mine, theirs


def difference(new: JudgedRows, old: JudgedRows) -> PairedComparison:
    """Compare two models on the same rows, labels and weights, in the same order."""
    metric = PRIMARY[new.task]
    first, second = estimate_all(new).get(metric), estimate_all(old).get(metric)
    if first is None or second is None or first.value is None or second.value is None:
        reason = next((x.reason for x in (first, second) if x is not None and x.reason), "no common labels")
        return PairedComparison(metric, new.on, len(new), None, None, None, reason)
    if first.num_units < 2:
        return PairedComparison(metric, new.on, len(new), None, None, None, "too few labels for an interval")
    gap = first.value - second.value
    spread = float(np.sqrt(np.square(first.influence - second.influence).sum()))
    reach = student(first.num_units) * spread
    return PairedComparison(metric, new.on, len(new), gap, gap - reach, gap + reach)
