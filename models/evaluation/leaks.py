"""Columns that give the label away: found before training, one column at a time, without any model.

A column that alone ranks the labels almost perfectly is more often the outcome in other words than a lucky
finding; so is a column that is only filled in once the outcome is known.

Shape letters: `n` labelled rows, `V` distinct codes of a column, `K` classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from models.evaluation.judged import FloatArray, IndexArray
from models.evaluation.metrics import auc, macro_auc, r2
from models.features.schema import Task

MAX_ROWS = 20_000
MIN_LABELS = 40
MIN_PER_CLASS = 10
MAX_BINS = 64
SUSPICIOUS = {Task.BINARY: 0.99, Task.MULTICLASS: 0.99, Task.REGRESSION: 0.98}
SUSPICIOUS_MISSING = {Task.BINARY: 0.9, Task.MULTICLASS: 0.9, Task.REGRESSION: 0.8}


def find_leaks(
    frame: pl.DataFrame,
    columns: Sequence[str],
    labels: FloatArray,
    task: Task,
    source_of: Mapping[str, str] | None = None,
) -> list[str]:
    """A warning per suspicious column of `columns`; `frame` has the labelled rows [n], `labels` [n]. `source_of` names
    the table's column behind those derived from one: it is what can be forbidden.

    Nothing is said of fewer than 40 labels, or 10 per class: chance finds such columns there.
    """
    generator = np.random.default_rng(0)
    if len(labels) > MAX_ROWS:
        rows = np.sort(generator.choice(len(labels), MAX_ROWS, replace=False))
        frame, labels = frame[rows], labels[rows]
    if len(labels) < MIN_LABELS or not _enough(labels, task):
        return []
    half = generator.random(len(labels)) < 0.5
    warnings: dict[str, str] = {}
    for name in columns:
        source = (source_of or {}).get(name, name)
        if name in frame.columns and source not in warnings:
            for warning in _column_warnings(source, frame[name], labels, task, half):
                warnings[source] = warning
    return list(warnings.values())


def _enough(labels: FloatArray, task: Task) -> bool:
    if task is Task.REGRESSION:
        return bool(np.ptp(labels) > 0)
    counts = np.sort(np.bincount(labels.astype(np.int64)))
    return len(counts) > 1 and int(counts[-2]) >= MIN_PER_CLASS


def _column_warnings(
    name: str, column: pl.Series, labels: FloatArray, task: Task, half: np.ndarray
) -> Iterator[str]:
    measure = {Task.BINARY: "AUC", Task.MULTICLASS: "macro AUC", Task.REGRESSION: "R²"}[task]
    missing = column.is_null().to_numpy().astype(np.int64)
    if min(missing.sum(), len(missing) - missing.sum()) >= MIN_PER_CLASS:
        strength = _strength(missing, labels, task, half)
        if strength >= SUSPICIOUS_MISSING[task]:
            yield (
                f"whether {name!r} is missing almost gives the label away ({measure} {strength:.3f}); if it is filled "
                "in only once the outcome is known, forbid it for this target"
            )
            return
    strength = _strength(_codes(column), labels, task, half)
    if strength >= SUSPICIOUS[task]:
        yield (
            f"{name!r} alone almost gives the label away ({measure} {strength:.3f}); if it is known only with the "
            "outcome, forbid it for this target"
        )


def _codes(column: pl.Series) -> IndexArray:
    """Small integers [n]: quantile bins of numbers, ranks of everything else; null has its own."""
    if column.dtype.is_temporal():
        column = column.to_physical()
    if column.dtype.is_numeric():
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        known = np.isfinite(numbers)
        if not known.any():
            return np.zeros(len(column), dtype=np.int64)
        # About ten rows to a bin, so that its mean label says something.
        num_bins = int(np.clip(known.sum() // 10, 2, MAX_BINS))
        edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, num_bins + 1)[1:-1]))
        codes = np.searchsorted(edges, np.where(known, numbers, 0.0), side="right") + 1
        return np.where(known, codes, 0).astype(np.int64)
    ranks = column.cast(pl.String).rank("dense").fill_null(0)
    return ranks.to_numpy().astype(np.int64)


def _strength(codes: IndexArray, labels: FloatArray, task: Task, half: np.ndarray) -> float:
    """How well mean labels per code, learned on the other half, rank (or give) the labels."""
    num_codes = int(codes.max()) + 1
    weights = np.ones(len(labels))
    if task is not Task.MULTICLASS:
        scores = _cross_fit(codes, labels, half, num_codes)
        found = auc(scores, labels, weights) if task is Task.BINARY else r2(scores, labels, weights)
    else:
        classes = labels.astype(np.int64)
        per_class = [
            _cross_fit(codes, (classes == k).astype(np.float64), half, num_codes)
            for k in range(int(classes.max()) + 1)
        ]
        found = macro_auc(np.stack(per_class, axis=1), classes, weights, MIN_PER_CLASS)
    return found.value if found.value is not None else 0.0


def _cross_fit(codes: IndexArray, labels: FloatArray, half: np.ndarray, num_codes: int) -> FloatArray:
    scores = np.empty(len(labels))
    for part in (half, ~half):
        other = ~part
        prior = labels[other].mean() if other.any() else 0.0
        counts = np.bincount(codes[other], minlength=num_codes)
        sums = np.bincount(codes[other], weights=labels[other], minlength=num_codes)
        # A tenth of a label towards the mean: breaks ties of unseen codes, hardly moves the others.
        means = (sums + 0.1 * prior) / (counts + 0.1)
        scores[part] = means[codes[part]]
    return scores
