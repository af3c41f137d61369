"""Columns of two snapshots in one type: the narrowest that holds the values of both without loss."""

from __future__ import annotations

import polars as pl

_EXACT = 2**53  # whole numbers up to it are floats without loss
_DATETIME = pl.Datetime("us")


def common_type(before: pl.Series, after: pl.Series) -> pl.DataType:
    """A column without any value fits every type; what has no other common type is text."""
    if before.dtype == after.dtype or after.null_count() == len(after):
        return before.dtype
    if before.null_count() == len(before):
        return after.dtype
    pair = (before, after)
    dtypes = {before.dtype, after.dtype}
    if dtypes == {pl.Int64(), pl.Float64()}:
        is_exact = all(_is_exact(part) for part in pair if part.dtype == pl.Int64)
        return pl.Float64() if is_exact else pl.String()
    if dtypes == {pl.Date(), _DATETIME}:
        return _DATETIME
    return pl.String()


def fits_type(values: pl.Series, dtype: pl.DataType) -> bool:
    """Whether `values` keep their meaning as `dtype`."""
    if values.dtype == dtype or values.null_count() == len(values):
        return True
    if values.dtype == pl.Int64 and dtype == pl.Float64:
        return _is_exact(values)
    return dtype == pl.String or (values.dtype == pl.Date and dtype == _DATETIME)


def as_type(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`values` as a type that `common_type` or `fits_type` allowed."""
    if values.dtype == dtype:
        return values
    if values.null_count() == len(values):
        return pl.Series(values.name, [None] * len(values), dtype=dtype)
    if dtype == pl.String and values.dtype == _DATETIME:
        return values.dt.to_string("iso:strict")
    return values.cast(dtype)


def _is_exact(values: pl.Series) -> bool:
    low, high = values.min(), values.max()
    return isinstance(low, int) and isinstance(high, int) and low >= -_EXACT and high <= _EXACT


def lenient_cast(values: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`values` as `dtype`, null where one does not fit."""
    try:
        return values.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None] * len(values), dtype=dtype)
