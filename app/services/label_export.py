"""Labels as a file that can be sent again: key, value, at (UNIX seconds), weight."""

from __future__ import annotations

import io
from typing import Literal

import polars as pl

from app.services.label_files import decode_values
from app.services.spreadsheets import guarded

ExportFormat = Literal["csv", "parquet"]


def exported(labels: pl.DataFrame, file_format: ExportFormat) -> bytes:
    """Parquet keeps keys and the type of values; in CSV texts that a spreadsheet would run get an apostrophe."""
    frame = labels.with_columns(_typed(labels["value"])).sort("key")
    buffer = io.BytesIO()
    if file_format == "parquet":
        frame.write_parquet(buffer, compression="zstd")
    else:
        guarded(frame).write_csv(buffer)
    return buffer.getvalue()


def _typed(values: pl.Series) -> pl.Series:
    """Label values with one type; whole numbers beside fractions are floats."""
    found = decode_values(values)
    kinds = {type(value) for value in found}
    if kinds == {int, float}:
        return pl.Series("value", [float(value) for value in found], dtype=pl.Float64)
    return pl.Series("value", found, dtype=pl.String if not kinds else None)
