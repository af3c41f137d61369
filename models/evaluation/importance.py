"""Which columns a fitted head relies on: what is lost of the primary metric when a column's cells change places.

Permutation importance (Breiman, Random Forests, 2001, section 10), per column of the table: the parts of a derived
column move together. It says what this head does with a column, not what the column could tell: of two columns that
say the same, either may look unimportant.

Shape letters: `n` rows, `C` columns, `R` repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from models.evaluation.judged import FloatArray, IndexArray, JudgedRows
from models.evaluation.metrics import PRIMARY, estimate_all
from models.features.schema import Task

MAX_ROWS = 1_000
MIN_ROWS = 100
MIN_ROWS_PER_CLASS = 10
MAX_REPEATS = 3
MIN_REPEATS = 2
MIN_COLUMNS = 5

PermutedOutputs = Callable[[str | None, IndexArray], FloatArray]
"""Outputs [n, K] or [n] of the head where the cells of a column come from the rows at the positions [n]; of the rows as
they are for None."""

Rows = Literal["holdout", "fitted"]


@dataclass(frozen=True, slots=True)
class ImportancePlan:
    """What there is time for: the first `num_columns` of the ranked columns, on `num_rows` rows."""

    num_rows: int
    num_columns: int
    num_repeats: int

    @classmethod
    def of(
        cls, num_rows: int, num_columns: int, num_classes: int, seconds: float, seconds_per_row: float
    ) -> ImportancePlan:
        """As much as `seconds` allow, and `MIN_COLUMNS` in any case: that is half of what standardising features cost."""
        affordable = seconds / max(seconds_per_row, 1e-9)
        least = min(num_rows, max(MIN_ROWS, MIN_ROWS_PER_CLASS * num_classes), MAX_ROWS)
        most = min(num_rows, MAX_ROWS)
        for repeats in range(MAX_REPEATS, MIN_REPEATS - 1, -1):
            rows = int(affordable / (num_columns * repeats + 1))
            if rows >= least:
                return cls(min(rows, most), num_columns, repeats)
        columns = max(MIN_COLUMNS, int((affordable / max(least, 1) - 1) / MIN_REPEATS))
        return cls(least, min(columns, num_columns), MIN_REPEATS)


def permutation_importance(
    judged: JudgedRows,
    columns: Sequence[str],
    outputs: PermutedOutputs,
    *,
    num_repeats: int,
    on: Rows,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """{"metric", "on", "num_rows", "num_repeats", "value" (of the rows as they are), "columns": [{"column", "drop",
    "noise"}], most important first; `noise` is the standard deviation over repeats} or {"reason", "columns": []}.

    `judged` brings the rows and labels; its outputs are not looked at.
    """
    order = np.arange(len(judged), dtype=np.int64)
    metric = PRIMARY[judged.task]
    value = _primary(judged, outputs(None, order))
    if value is None:
        return missing_importance("the metric does not exist on the rows that there are")
    found: list[dict[str, Any]] = []
    shuffles = [generator.permutation(len(judged)).astype(np.int64) for _ in range(num_repeats)]
    for column in columns:
        drops = [
            value - worse
            for shuffle in shuffles
            if (worse := _primary(judged, outputs(column, shuffle))) is not None
        ]
        if drops:
            noise = float(np.std(drops, ddof=1)) if len(drops) > 1 else None
            found.append({"column": column, "drop": float(np.mean(drops)), "noise": noise})
    found.sort(key=lambda entry: -entry["drop"])
    return {
        "metric": metric,
        "on": on,
        "num_rows": len(judged),
        "num_repeats": num_repeats,
        "value": value,
        "columns": found,
    }


def missing_importance(reason: str) -> dict[str, Any]:
    return {"reason": reason, "columns": []}


def draw_rows(labels: FloatArray, task: Task, count: int, generator: np.random.Generator) -> IndexArray:
    """`count` of the positions of labels [n], sorted; classes as evenly as their labels allow.

    AUC does not depend on how frequent classes are, and its noise is that of the rarest one.
    """
    order = generator.permutation(len(labels))
    if task is not Task.REGRESSION:
        turn = np.empty(len(labels), dtype=np.int64)  # how many of its class came before, in the drawn order
        for label in np.unique(labels):
            members = np.flatnonzero(labels[order] == label)
            turn[members] = np.arange(len(members))
        order = order[np.argsort(turn, kind="stable")]
    return np.sort(order[:count]).astype(np.int64)


def _primary(judged: JudgedRows, outputs: FloatArray) -> float | None:
    # Not as hold-out rows: those leave rare classes out of the macro AUC, of which a sample has few each.
    scored = JudgedRows(judged.task, "out_of_fold", judged.rows, judged.labels, outputs, judged.weights)
    estimate = estimate_all(scored).get(PRIMARY[judged.task])
    return None if estimate is None else estimate.value
