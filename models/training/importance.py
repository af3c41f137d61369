"""Columns that matter to a fitted head, within a bounded time, as part of its report.

Shape letters: `n` rows, `F` row features.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch

from models.bundle import EncoderBundle
from models.errors import Interrupted
from models.evaluation.importance import (
    MIN_ROWS,
    ImportancePlan,
    Rows,
    draw_rows,
    missing_importance,
    permutation_importance,
)
from models.evaluation.judged import FloatArray, IndexArray, JudgedRows
from models.features.codec import Codes
from models.heads.prediction import FittedHead, RowFeaturesPass
from models.heads.problem import Pace
from models.predictor import Predictor
from models.training.labels import LabelledRows
from models.training.targets import HeadResult, TargetData
from models.training.view_features import ViewSample

MIN_HOLDOUT_ROWS = 200
SHARE_OF_TIME = 0.1  # of the target's whole time, at most
SHARE_OF_ELAPSED = (
    0.1  # of what the head took so far: a head that is fitted in a second is served in a second
)
MIN_SECONDS = 0.15
LIKE_A_PASS = 1.5  # a pass with the metric and without the chunks of many rows, in measured passes


def importance_seconds(elapsed: float, allowed: float) -> float:
    """What may be spent on it where the head took `elapsed` of its `allowed` seconds."""
    return min(SHARE_OF_TIME * allowed, max(MIN_SECONDS, SHARE_OF_ELAPSED * elapsed))


@dataclass(frozen=True, slots=True, eq=False)
class ImportanceTask:
    """What is needed besides the head: its predictor, the rows, their labels, and what a row costs."""

    predictor: Predictor
    frame: pl.DataFrame
    target: TargetData
    fitted: LabelledRows | None
    holdout: LabelledRows
    sample: ViewSample | None  # None where the head's pass is not of row features
    seconds: float
    seed: int
    pace: Pace


def with_importance(result: HeadResult, task: ImportanceTask) -> HeadResult:
    """The result with `importance` in its report, or the reason why it is not there.

    Raises:
        Interrupted: the caller asked to stop.
    """
    on, rows = _judged_rows(task)
    columns = _ranked_columns(
        task.predictor.bundle, result.head, None if task.sample is None else task.sample.scaling.gain
    )
    if rows is None or not columns:
        reason = "there are too few hold-out labels" if columns else "the head sees no column"
        return _said(result, missing_importance(reason))
    num_classes = 0 if result.head.classes is None else len(result.head.classes)
    plan = ImportancePlan.of(
        len(rows), len(columns), num_classes, task.seconds, _seconds_per_row(task, result.head)
    )
    generator = np.random.default_rng([task.seed, 5])
    drawn = rows.at(draw_rows(rows.labels, result.head.task, plan.num_rows, generator))
    judged = JudgedRows(
        result.head.task, "holdout", drawn.rows, drawn.labels, np.empty((plan.num_rows, 0)), drawn.weights
    )
    passes = _Passes.of(task, result.head, drawn.rows)
    found = permutation_importance(
        judged,
        columns[: plan.num_columns],
        passes.outputs,
        num_repeats=plan.num_repeats,
        on=on,
        generator=generator,
    )
    return _said(result, found | {"num_left_out": len(columns) - plan.num_columns})


def _said(result: HeadResult, importance: dict[str, object]) -> HeadResult:
    return replace(result, report=result.report | {"importance": importance})


def _seconds_per_row(task: ImportanceTask, head: FittedHead) -> float:
    if task.sample is not None:
        return task.sample.seconds_per_row * LIKE_A_PASS
    codes = task.predictor.bundle.reference_codes.select_rows(slice(0, MIN_ROWS))
    started = time.monotonic()
    task.predictor.predict_codes(codes, [head])
    return (time.monotonic() - started) / max(len(codes), 1)


def _judged_rows(task: ImportanceTask) -> tuple[Rows, LabelledRows | None]:
    """Hold-out rows, which the head never saw, if there are enough; else the rows it was fitted on."""
    if len(task.holdout) >= MIN_HOLDOUT_ROWS or task.fitted is None:
        return "holdout", task.holdout if len(task.holdout) >= MIN_HOLDOUT_ROWS else None
    return "fitted", task.fitted


def _ranked_columns(bundle: EncoderBundle, head: FittedHead, gain: torch.Tensor | None) -> list[str]:
    """Columns of the table that the head sees; those that its weights lean on come first.

    Weights are taken as of standardised features, `gain` [F] being one over their spread. Where there are none, the
    order of the table.
    """
    present = [name for name in bundle.codec.sources if name not in head.view]
    products = [need.weight for need in head.needs if isinstance(need, RowFeaturesPass)]
    if not products or gain is None:
        return present
    weights = (torch.cat(products).abs().sum(dim=0) / gain.clamp(min=1e-6)).tolist()
    source_of = dict(zip(bundle.codec.names, bundle.codec.source_of, strict=True))
    leaning = dict.fromkeys(present, 0.0)
    for name, weight in zip(bundle.row_features.names(head.view), weights, strict=True):
        source = source_of.get(name.partition(":")[2].rpartition(":")[0])  # names may hold colons
        if source in leaning:
            leaning[source] += weight
    return sorted(present, key=lambda name: -leaning[name])


@dataclass(frozen=True, slots=True, eq=False)
class _Passes:
    """The head's own way to predict `codes` [n], with cells of one column from other rows."""

    task: ImportanceTask
    head: FittedHead
    codes: Codes

    @classmethod
    def of(cls, task: ImportanceTask, head: FittedHead, rows: IndexArray) -> _Passes:
        codec = task.predictor.bundle.codec
        names = [name for name in codec.sources if name in task.frame.columns]
        return cls(task, head, codec.transform(task.frame.select(names)[rows]))

    def outputs(self, column: str | None, rows: IndexArray) -> FloatArray:
        if self.task.pace.should_stop():
            raise Interrupted("stopped while looking for the columns that matter; nothing was published")
        codes = self.codes if column is None else _permuted(self.codes, column, rows)
        return self.task.predictor.predict_codes(codes, [self.head])[0].outputs


def _permuted(codes: Codes, column: str, rows: IndexArray) -> Codes:
    """Codes whose cells of `column`, all its parts, are those of the rows at `rows` [n]."""
    parts = [position for position, source in enumerate(codes.sources) if source == column]
    index, fraction = codes.index.clone(), codes.fraction.clone()
    positions = torch.from_numpy(rows)
    index[:, parts] = codes.index.index_select(0, positions)[:, parts]
    fraction[:, parts] = codes.fraction.index_select(0, positions)[:, parts]
    return Codes(index, fraction, codes.names, codes.offsets, codes.sources)
