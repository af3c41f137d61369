"""Data frames to what is sent: Parquet bytes of a table, JSON rows for a prediction, JSON labels.

JSON has no NaN and no infinity: NaN in a float column becomes null (a missing value), infinity is refused.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import polars as pl

from rootstock_client.errors import InvalidArgumentError

Scalar = str | int | float | bool | None
JsonRow = dict[str, Scalar]
Rows = pl.DataFrame | Sequence[Mapping[str, Any]]
Labels = pl.DataFrame | Iterable[Mapping[str, Any] | tuple[Any, ...]]

LABEL_COLUMNS = ("key", "value", "at", "weight")


def parquet_bytes(frame: pl.DataFrame) -> bytes:
    """The frame as one Parquet file in memory."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def json_rows(rows: Rows) -> list[dict[str, Any]]:
    """Rows as JSON objects: dates as ISO 8601 text, categories as text, decimals as floats.

    Raises:
        InvalidArgumentError: a column's type has no JSON form, or holds an infinity.
    """
    if isinstance(rows, pl.DataFrame):
        return _json_frame(rows).to_dicts()
    return [dict(row) for row in rows]


def _json_frame(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(_json_column(frame.get_column(name)) for name in frame.columns)


def _json_column(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if dtype in (pl.String, pl.Boolean, pl.Null) or dtype.is_integer():
        return column
    if dtype.is_decimal():
        return column.cast(pl.Float64)
    if dtype.is_float():
        if column.is_infinite().any():
            raise InvalidArgumentError(
                f"column {column.name!r} holds an infinite number, which JSON cannot carry: replace it by null or a number",
                code="infinite_value",
            )
        return column.fill_nan(None)
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if isinstance(dtype, pl.Date | pl.Datetime | pl.Time):
        return column.dt.to_string("iso:strict")
    raise InvalidArgumentError(
        f"column {column.name!r} has type {dtype}, which has no JSON form: turn it into text, numbers, booleans or dates",
        code="unsupported_type",
    )


def label_batches(labels: Labels, size: int) -> Iterator[list[JsonRow]]:
    """Labels as JSON objects, at most `size` at a time.

    Args:
        labels: a frame with the columns `key`, `value` and, where wanted, `at` and `weight`; or mappings
            with these names; or tuples in this order. `at` is a time (UTC where it has no zone), ISO 8601
            text or UNIX seconds.

    Raises:
        InvalidArgumentError: a column is missing or unknown, a tuple is too short or too long.
    """
    if isinstance(labels, pl.DataFrame):
        _check_label_columns(labels.columns)
        if "at" in labels.columns and labels.schema["at"].is_temporal():
            labels = labels.with_columns(pl.col("at").dt.epoch("us") / 1e6)
        frame = _json_frame(labels)
        optional = [name for name in ("at", "weight") if name in frame.columns]
        for start in range(0, frame.height, size):
            for_batch = frame.slice(start, size).to_dicts()
            yield [_without_nulls(row, optional) for row in for_batch]
        return
    batch: list[JsonRow] = []
    for label in labels:
        batch.append(_json_label(label))
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _json_label(label: Mapping[str, Any] | tuple[Any, ...]) -> JsonRow:
    if isinstance(label, Mapping):
        _check_label_columns(label)
        row = dict(label)
    elif 2 <= len(label) <= len(LABEL_COLUMNS):
        row = dict(zip(LABEL_COLUMNS, label, strict=False))
    else:
        raise InvalidArgumentError(
            f"a label is (key, value), (key, value, at) or (key, value, at, weight); received {len(label)} values",
            code="invalid_label",
        )
    if isinstance(row.get("at"), datetime):
        row["at"] = (row["at"] if row["at"].tzinfo else row["at"].replace(tzinfo=UTC)).timestamp()
    return _without_nulls(row, ["at", "weight"])


def _without_nulls(row: JsonRow, names: Sequence[str]) -> JsonRow:
    """Null says something of `value` (withdraw the label), and nothing of `at` and `weight`."""
    for name in names:
        if row.get(name, ...) is None:
            del row[name]
    return row


def _check_label_columns(names: Iterable[str]) -> None:
    given = list(names)
    missing = [name for name in ("key", "value") if name not in given]
    unknown = [name for name in given if name not in LABEL_COLUMNS]
    if missing or unknown:
        raise InvalidArgumentError(
            f"labels have the columns key, value and, where wanted, at and weight; missing: {missing}, unknown: {unknown}",
            code="invalid_label",
        )
