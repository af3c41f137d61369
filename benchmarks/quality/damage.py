"""Test rows with cells that went missing or hold something else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
WAYS = ("missing", "replaced")


def damaged_frames(
    test: pl.DataFrame, train: pl.DataFrame, generator: np.random.Generator
) -> Iterator[tuple[str, pl.DataFrame]]:
    """A name such as `missing_30`, and the test rows where that share of the cells is null or of a random training row.

    Cells are drawn once and shared: those damaged at 10 % are damaged at 20 % too.
    """
    luck = generator.random((test.height, test.width))
    donors = generator.integers(0, train.height, size=(test.height, test.width))
    for way in WAYS:
        for share in SHARES:
            columns = [
                _damaged(column, train[column.name], luck[:, i] < share, donors[:, i], way)
                for i, column in enumerate(test)
            ]
            yield f"{way}_{round(100 * share)}", pl.DataFrame(columns)


def _damaged(column: pl.Series, train: pl.Series, hit: np.ndarray, donors: np.ndarray, way: str) -> pl.Series:
    if way == "missing":
        other = pl.Series(column.name, [None] * len(column), dtype=column.dtype)
    else:
        other = train.gather(donors)
    return column.zip_with(pl.Series(~hit), other)
