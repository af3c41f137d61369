"""Dates, times and durations of Parquet and Arrow, which are integers of any size, as canonical columns.

The formats bound nothing: a timestamp of 2^63 milliseconds is a valid one. Polars panics, overflows or wraps on some of
them, and neither Python nor databases know years beyond 9999, so that what is out of range is refused by its integer
before anything else looks at it.
"""

from __future__ import annotations

import polars as pl

from models.errors import TableFormatError
from models.features.reading.text_types import TypedColumn

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31, in days since 1970."""

_PER_SECOND = {"ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY_S = 86_400
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def canonical_date(column: pl.Series) -> TypedColumn:
    """Raises: TableFormatError value_out_of_range."""
    _check_range(column, FIRST_DAY, LAST_DAY, "dates are of the years 1 to 9999")
    return TypedColumn(column)


def canonical_datetime(column: pl.Series) -> TypedColumn:
    """Datetime of any unit and zone as Datetime[us] without zone, in UTC; a zone is never looked up, since a time with a
    zone is the integer of its UTC moment.

    Raises: TableFormatError value_out_of_range.
    """
    assert isinstance(column.dtype, pl.Datetime)
    unit, zone = column.dtype.time_unit, column.dtype.time_zone
    ticks = _PER_SECOND[unit]
    _check_range(
        column,
        max(FIRST_DAY * _DAY_S * ticks, _INT64_MIN),
        min((LAST_DAY + 1) * _DAY_S * ticks - 1, _INT64_MAX),
        "times are of the years 1 to 9999",
    )
    warnings = []
    if zone is not None:
        warnings.append(f"Column {column.name!r}: times were converted to UTC and the zone is not kept.")
    moments = column.to_physical()
    if unit == "ms":
        moments = moments * 1_000
    elif unit == "ns":
        if (moments % 1_000 != 0).any():
            warnings.append(f"Column {column.name!r}: times were cut to microseconds.")
        moments = moments // 1_000
    return TypedColumn(moments.cast(pl.Datetime("us")), tuple(warnings))


def canonical_duration(column: pl.Series) -> TypedColumn:
    """Seconds as Float64."""
    assert isinstance(column.dtype, pl.Duration)
    seconds = column.to_physical().cast(pl.Float64) / _PER_SECOND[column.dtype.time_unit]
    return TypedColumn(seconds, (f"Column {column.name!r}: durations became seconds.",))


def canonical_time_of_day(column: pl.Series) -> TypedColumn:
    """Text. Raises: TableFormatError value_out_of_range."""
    _check_range(column, 0, _DAY_S * _PER_SECOND["ns"] - 1, "times of day are from 00:00 to before 24:00")
    return TypedColumn(column.cast(pl.String))


def _check_range(column: pl.Series, first: int, last: int, rule: str) -> None:
    is_beyond = ~column.to_physical().is_between(first, last).fill_null(value=True)
    if not is_beyond.any():
        return
    row = is_beyond.arg_max() or 0
    raise TableFormatError(
        f"Row {row + 1} of column {column.name!r} is out of range: {rule}. Write null where there is none, or leave out "
        "the column.",
        code="value_out_of_range", row=row, column=column.name,
    )  # fmt: skip
