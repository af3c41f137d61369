"""Labels of a target, checked and divided into what is fitted and what is held out.

Shape letters: `n` labels, `t` fitted, `h` held out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import LabelError
from models.features.labels import MAX_MAGNITUDE
from models.features.schema import Role, TableSchema, Task
from models.heads.prediction import FloatArray, IndexArray
from models.training.targets import TargetData

MAX_HOLDOUT_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class LabelledRows:
    """Shape: `rows`, `labels`, `weights` [n]; positions in the snapshot, class index or number, mean weight 1."""

    rows: IndexArray
    labels: FloatArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, index: npt.NDArray[np.int64]) -> LabelledRows:
        weights = self.weights[index]
        return LabelledRows(
            self.rows[index], self.labels[index], weights / weights.mean() if len(index) else weights
        )


@dataclass(frozen=True, slots=True, eq=False)
class CheckedLabels:
    """What may be fitted, what may only judge, and what the owner of the labels should know."""

    fitted: LabelledRows
    holdout: LabelledRows
    warnings: tuple[str, ...]


def check_labels(target: TargetData, num_rows: int, generator: np.random.Generator) -> CheckedLabels:
    """Split labels by part, without those of weight zero.

    Raises:
        LabelError: nothing can be fitted; `code` is one of `invalid_labels`, `duplicate_label`, `invalid_weight`,
            `no_labels`, `no_train_labels`, `zero_weights`, `one_class`, `too_few_labels`, `value_out_of_range`.
    """
    _check_form(target, num_rows)
    weights = np.ones(len(target.rows)) if target.weights is None else target.weights.astype(np.float64)
    used = weights > 0.0
    if not used.any():
        raise LabelError(
            f"all {len(weights)} labels of {target.name!r} have weight 0; give at least two a positive weight",
            code="zero_weights",
        )
    every = LabelledRows(target.rows.astype(np.int64), target.values.astype(np.float64), weights)
    fitted = every.at(np.flatnonzero(used & ~target.evaluation))
    held_out = _drawn(np.flatnonzero(used & target.evaluation), generator)
    if len(fitted) == 0:
        raise LabelError(
            f"all {int(used.sum())} labels of {target.name!r} are on rows of the evaluation part, which are never fitted; "
            "label rows of the train part",
            code="no_train_labels",
        )
    warnings = _check_content(target, fitted)
    return CheckedLabels(fitted, every.at(held_out), tuple(warnings))


def holdout_labels(target: TargetData, num_rows: int, generator: np.random.Generator) -> LabelledRows:
    """Labels that may judge a head which learns from none; there may be none at all.

    Raises:
        LabelError: labels that cannot be judged by: `invalid_labels`, `duplicate_label`, `invalid_weight` …
    """
    if len(target.rows):
        _check_form(target, num_rows)
    weights = np.ones(len(target.rows)) if target.weights is None else target.weights.astype(np.float64)
    every = LabelledRows(target.rows.astype(np.int64), target.values.astype(np.float64), weights)
    return every.at(_drawn(np.flatnonzero((weights > 0.0) & target.evaluation), generator))


def _drawn(held_out: IndexArray, generator: np.random.Generator) -> IndexArray:
    """At most `MAX_HOLDOUT_ROWS` of them, in order."""
    if len(held_out) <= MAX_HOLDOUT_ROWS:
        return held_out
    return np.sort(generator.choice(held_out, MAX_HOLDOUT_ROWS, replace=False))


def _check_form(target: TargetData, num_rows: int) -> None:
    num_labels = len(target.rows)
    if num_labels == 0:
        raise LabelError(f"{target.name!r} has no labels; send some or choose a column", code="no_labels")
    lengths = {num_labels, len(target.values), len(target.evaluation)}
    if len(lengths) > 1 or (target.weights is not None and len(target.weights) != num_labels):
        raise LabelError(f"rows, values, parts and weights of {target.name!r} have different lengths")
    if int(target.rows.min()) < 0 or int(target.rows.max()) >= num_rows:
        raise LabelError(f"labels of {target.name!r} point outside the {num_rows} rows of the snapshot")
    if len(np.unique(target.rows)) != num_labels:
        raise LabelError(
            f"{num_labels - len(np.unique(target.rows))} rows have more than one label of {target.name!r}; "
            "keep the one that counts",
            code="duplicate_label",
        )
    if target.weights is not None and not bool(np.all(np.isfinite(target.weights) & (target.weights >= 0.0))):
        raise LabelError(f"weights of {target.name!r} must be finite and not negative", code="invalid_weight")
    if not bool(np.all(np.isfinite(target.values))):
        raise LabelError(f"labels of {target.name!r} must be finite numbers; leave out what is unknown")
    if target.task is Task.REGRESSION:
        if float(np.abs(target.values).max()) > MAX_MAGNITUDE:
            raise LabelError(
                f"labels of {target.name!r} go beyond ±{MAX_MAGNITUDE:.0e}; send them in a larger unit",
                code="value_out_of_range",
            )
        return
    num_classes = len(target.classes or ())
    if num_classes < 2 or (target.task is Task.BINARY and num_classes != 2):
        raise LabelError(
            f"{target.name!r} is {target.task} but names {num_classes} classes", code="one_class"
        )
    if int(target.values.min()) < 0 or int(target.values.max()) >= num_classes:
        raise LabelError(f"labels of {target.name!r} name a class outside of its {num_classes}")


def _check_content(target: TargetData, fitted: LabelledRows) -> list[str]:
    if target.task is Task.REGRESSION:
        if len(fitted) < 2:
            raise LabelError(
                f"{target.name!r} has 1 label in the train part; a regression needs at least 2",
                code="too_few_labels",
            )
        if np.ptp(fitted.labels) == 0.0:
            return ["all labels in the train part are equal; the head predicts that number for every row"]
        return []
    classes = len(target.classes or ())
    counts = np.bincount(fitted.labels.astype(np.int64), minlength=classes)
    present = int((counts > 0).sum())
    if present < 2:
        raise LabelError(
            f"all {len(fitted)} labels of {target.name!r} in the train part are of one class; label rows of another",
            code="one_class",
        )
    warnings = []
    if present < classes:
        warnings.append(f"{classes - present} of {classes} classes have no label in the train part")
    if int(counts[counts > 0].min()) == 1:
        warnings.append(f"{int((counts == 1).sum())} classes have a single label; more would help most there")
    return warnings


def row_groups(frame: pl.DataFrame, schema: TableSchema, rows: IndexArray) -> IndexArray | None:
    """Group number of each row [n], where the table has groups: rows of one group share a fold."""
    names = [column.name for column in schema.with_role(Role.GROUP) if column.name in frame.columns]
    if not names:
        return None
    groups = frame.select(names)[rows].select(pl.struct(names).rank("dense"))
    return groups.to_series().to_numpy().astype(np.int64)
