"""A table's columns as numbers, in the forms that packages take: fitted on the training rows, applied to any rows.

Labels play no part, so all training rows may be looked at.

Shape letters: `b` rows, `n` continuous columns, `m` those of them with a missing value in training rows, `c` categorical
columns, `F` features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy.sparse

from benchmarks.quality.trial import FloatArray, IndexArray, Trial

MISSING, UNSEEN, FIRST_KNOWN = 0, 1, 2
"""Codes of a category: none given, none of the training rows', and then the known ones, the most frequent first."""
MAX_ONE_HOT = 256  # categories of a column that get an indicator of their own; rarer ones count as unseen


@dataclass(frozen=True, slots=True, eq=False)
class FittedColumns:
    """What the training rows say of each column. Shape: `centre`, `scale`, `is_incomplete` [n]; `categories` c tuples."""

    continuous: tuple[str, ...]
    categorical: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    is_incomplete: npt.NDArray[np.bool_]
    categories: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, trial: Trial) -> FittedColumns:
        frame = trial.frame[trial.train_rows]
        numbers = _numbers(frame, trial.continuous)
        is_known = ~np.isnan(numbers)
        num_known = np.maximum(is_known.sum(axis=0), 1)
        centre = np.where(is_known, numbers, 0.0).sum(axis=0) / num_known
        variance = np.square(np.where(is_known, numbers - centre, 0.0)).sum(axis=0) / num_known
        scale = np.sqrt(variance)
        return cls(
            trial.continuous,
            trial.categorical,
            centre,
            np.where(scale > 1e-12 * np.maximum(1.0, np.abs(centre)), scale, 1.0),
            np.asarray((~is_known).any(axis=0)),
            tuple(_categories(frame[name]) for name in trial.categorical),
        )

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """How many codes each categorical column has, missing and unseen among them."""
        return tuple(FIRST_KNOWN + len(categories) for categories in self.categories)

    def numbers(self, frame: pl.DataFrame) -> FloatArray:
        """Shape: [b, n], NaN where missing or not finite."""
        return _numbers(frame, self.continuous)

    def codes(self, frame: pl.DataFrame) -> IndexArray:
        """Shape: [b, c], each below its entry of `code_sizes`."""
        codes = np.empty((len(frame), len(self.categorical)), dtype=np.int64)
        for i, (name, categories) in enumerate(zip(self.categorical, self.categories, strict=True)):
            codes[:, i] = _codes(frame[name], categories)
        return codes

    def for_trees(self, frame: pl.DataFrame) -> FloatArray:
        """Continuous columns, then known categories from 0 on; NaN for all else. Shape: [b, n + c]."""
        codes = self.codes(frame).astype(np.float64) - FIRST_KNOWN
        return np.hstack([self.numbers(frame), np.where(codes >= 0, codes, np.nan)])

    def complete(self, frame: pl.DataFrame) -> FloatArray:
        """Standardised, the mean where missing, then indicators of missing values. Shape: [b, n + m]."""
        numbers = (self.numbers(frame) - self.centre) / self.scale
        is_missing = np.isnan(numbers)
        indicators = is_missing[:, self.is_incomplete].astype(np.float64)
        return np.hstack([np.where(is_missing, 0.0, numbers), indicators])

    @property
    def num_complete(self) -> int:
        """n + m, the width of `complete`."""
        return len(self.continuous) + int(self.is_incomplete.sum())

    def for_networks(self, frame: pl.DataFrame) -> FloatArray:
        """`complete`, then codes of categories. Shape: [b, n + m + c]."""
        return np.hstack([self.complete(frame), self.codes(frame).astype(np.float64)])

    def one_hot(self, frame: pl.DataFrame) -> scipy.sparse.csr_matrix:
        """`complete` beside an indicator for each category and for missing ones. Shape: [b, F]."""
        rows = np.arange(len(frame))
        blocks = [scipy.sparse.csr_matrix(self.complete(frame))]
        for codes, size in zip(self.codes(frame).T, self.code_sizes, strict=True):
            width = min(size, FIRST_KNOWN + MAX_ONE_HOT)
            is_own = (codes != UNSEEN) & (codes < width)
            entries = (np.ones(is_own.sum()), (rows[is_own], codes[is_own]))
            blocks.append(scipy.sparse.csr_matrix(entries, shape=(len(rows), width)))
        return scipy.sparse.csr_matrix(scipy.sparse.hstack(blocks))

    def mixed(self, frame: pl.DataFrame) -> npt.NDArray[np.object_]:
        """Continuous columns as numbers, then categories as text, "" where missing. Shape: [b, n + c] of objects."""
        texts = [frame[name].cast(pl.String).fill_null("").to_numpy() for name in self.categorical]
        columns = [*self.numbers(frame).T, *texts]
        table = np.empty((len(frame), len(columns)), dtype=object)
        for i, column in enumerate(columns):
            table[:, i] = column
        return table


def _numbers(frame: pl.DataFrame, names: tuple[str, ...]) -> FloatArray:
    table = np.empty((len(frame), len(names)))
    for i, name in enumerate(names):
        table[:, i] = frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    table[~np.isfinite(table)] = np.nan
    return table


def _categories(column: pl.Series) -> tuple[str, ...]:
    counts = column.cast(pl.String).drop_nulls().rename("text").value_counts()
    return tuple(counts.sort(["count", "text"], descending=[True, False])["text"])


def _codes(column: pl.Series, categories: tuple[str, ...]) -> IndexArray:
    known = pl.DataFrame(
        {"text": categories, "code": range(FIRST_KNOWN, FIRST_KNOWN + len(categories))},
        schema={"text": pl.String, "code": pl.Int64},
    )
    texts = column.cast(pl.String).rename("text").to_frame()
    codes = texts.join(known, on="text", how="left", maintain_order="left")["code"].fill_null(UNSEEN)
    found = codes.to_numpy().astype(np.int64)
    found[column.is_null().to_numpy()] = MISSING
    return found
