"""Which rows to look at first: each kind of row once, and rows far from each other.

Shape letters: `N` rows, `C` columns, `k` rows wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl


def first_of_kind(
    frame: pl.DataFrame, groups: Sequence[str], content: Sequence[str]
) -> npt.NDArray[np.bool_]:
    """bool [N]: rows that come first of their group (`groups`, a row without one is alone in it) and of all rows with
    the same `content`."""
    keep = pl.lit(True)
    if groups:
        keep = keep & (pl.struct(groups).is_first_distinct() | pl.all_horizontal(pl.col(groups).is_null()))
    if content:
        keep = keep & pl.struct(content).is_first_distinct()
    return frame.select(pl.repeat(True, pl.len()) & keep).to_series().to_numpy()


def farthest_first(
    frame: pl.DataFrame, count: int, *, num_covered: int = 0, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Positions [k] of rows of `frame` that are far from each other and from its first `num_covered` rows, which are not
    chosen themselves; farthest first (Gonzalez 1985, Theoretical Computer Science 38: the greedy k-centre).

    The distance of two rows is Gower's (1971, Biometrics 27): the mean over the columns of 0 or 1 for different values,
    and of the difference in rank for numbers and times.
    """
    numbers, codes = _coordinates(frame)
    num_rows = len(frame)
    nearest = np.full(num_rows, np.inf)
    nearest[:num_covered] = -np.inf
    for row in range(num_covered):
        np.minimum(nearest, _distances(numbers, codes, row), out=nearest)
    chosen: list[int] = []
    while len(chosen) < min(count, num_rows - num_covered):
        is_first = not chosen and not num_covered
        row = int(generator.integers(num_rows)) if is_first else int(nearest.argmax())
        chosen.append(row)
        np.minimum(nearest, _distances(numbers, codes, row), out=nearest)
        nearest[row] = -np.inf
    return np.array(chosen, dtype=np.int64)


def _coordinates(frame: pl.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Ranks in 0 … 1 of numbers and times [N, C₁] (-1 where missing), numbered values of the rest [N, C₂]."""
    numbers, codes = [], []
    for column in frame.iter_columns():
        if column.dtype.is_numeric() or column.dtype.is_temporal():
            ranks = column.rank("average").cast(pl.Float64) / max(len(column), 1)
            numbers.append(ranks.fill_null(-1.0).to_numpy())
        else:
            codes.append(column.rank("dense").cast(pl.Int64).fill_null(0).to_numpy())
    shape = (len(frame), 0)
    return (
        np.column_stack(numbers) if numbers else np.empty(shape),
        np.column_stack(codes) if codes else np.empty(shape, dtype=np.int64),
    )


def _distances(
    numbers: npt.NDArray[np.float64], codes: npt.NDArray[np.int64], row: int
) -> npt.NDArray[np.float64]:
    """Sum over the columns [N]; a missing number is at distance 1 of every other one."""
    gaps = np.minimum(np.abs(numbers - numbers[row]), 1.0)
    found: npt.NDArray[np.float64] = gaps.sum(axis=1) + (codes != codes[row]).sum(axis=1)
    return found
