"""Casts that never raise: what does not fit becomes null."""

from __future__ import annotations

import polars as pl

from models.features.schema import StorageType

CANONICAL_DTYPES: dict[StorageType, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}


def cast_or_null(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Cast where a value that does not fit becomes null, and so does a whole column of a dtype that never fits."""
    if series.dtype == dtype:
        return series
    try:
        return series.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(series.name, [None] * len(series), dtype=dtype)
