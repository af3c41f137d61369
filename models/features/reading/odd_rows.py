"""Rows that are no rows of the table: error messages, page footers, lines of another log between the records.

Such a row has as many fields as the others (or was padded), so nothing refuses it, yet its cells do not look like
those above and below. The shape of a cell is its text with every number written `0` and every word `a`
(`[29/Nov/2017:06:58:55` is `[0/a/0:0:0:0`). A column in which nine of ten cells share a shape with a number in it
is regular; a row is odd when it breaks the shape of every regular column, of which there must be two.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_SAMPLE = 2_000
_MIN_ROWS = 20
_MIN_SHARE = 0.9
_MIN_COLUMNS = 2
_NUMBER = r"^[+-]?\d+(?:[.,]\d+)?$"


def find_odd_rows(columns: Sequence[pl.Series]) -> pl.Series | None:
    """`columns`: String [N] → Boolean [N], true for odd rows; None where there are none."""
    broken = [mask for column in columns if (mask := _broken_shape(column)) is not None]
    num_regular = len(broken)
    if num_regular < _MIN_COLUMNS:
        return None
    num_broken = pl.DataFrame(
        [mask.cast(pl.UInt32).alias(str(position)) for position, mask in enumerate(broken)]
    ).sum_horizontal()
    is_odd = num_broken == num_regular
    return is_odd if is_odd.any() else None


def _broken_shape(column: pl.Series) -> pl.Series | None:
    """Where the cells of a regular column have another shape; None for columns that are not regular, or wholly."""
    if column.dtype != pl.String or len(column) < _MIN_ROWS:
        return None
    step = max(1, len(column) // _SAMPLE)
    shapes = _shapes(column.gather_every(step).drop_nulls().head(_SAMPLE))
    if len(shapes) < _MIN_ROWS // 2:
        return None
    shape = shapes.value_counts(sort=True)[column.name][0]
    if "0" not in shape or (shapes == shape).mean() < _MIN_SHARE - 0.05:
        return None
    distinct = column.unique()
    breaks = _shapes(distinct) != shape
    is_broken = column.is_in(distinct.filter(breaks.fill_null(value=False)).implode())
    is_broken = is_broken.fill_null(value=False)
    share = int(is_broken.sum()) / len(column)
    return is_broken if 0 < share <= 1 - _MIN_SHARE else None


def _shapes(text: pl.Series) -> pl.Series:
    stripped = text.str.strip_chars()
    shapes = stripped.str.replace_all(r"\d+", "0").str.replace_all(r"\p{L}+", "a")
    is_number = stripped.str.contains(_NUMBER)
    return pl.select(pl.when(is_number).then(pl.lit("0")).otherwise(shapes).alias(text.name)).to_series()
