"""A row as one text that depends on its values alone: not on the library, its version, the machine or the order."""

from __future__ import annotations

import polars as pl

_SEPARATOR, _NULL = "\x1f", "\x00"


def row_texts(frame: pl.DataFrame) -> list[str]:
    """[N]: equal exactly for rows with equal values in equal columns (but for cells holding U+001F or U+0000)."""
    return frame.select(
        pl.concat_str([_cell_text(frame[name]) for name in frame.columns], separator=_SEPARATOR).alias("text")
    )["text"].to_list()


def _cell_text(column: pl.Series) -> pl.Expr:
    """Integers, times (since the epoch) and booleans as digits; floats by their bits, since printing them may
    change between versions; text as it is."""
    expr = pl.col(column.name)
    if column.dtype == pl.Float64:
        zero_is_positive = pl.when(expr == 0.0).then(0.0).otherwise(expr)
        expr = zero_is_positive.reinterpret(dtype=pl.Int64)
    elif column.dtype == pl.Boolean:
        expr = expr.cast(pl.Int8)
    elif column.dtype != pl.String:
        expr = expr.to_physical().cast(pl.Int64)
    return expr.cast(pl.String).fill_null(_NULL).alias(column.name)
