"""The time axis of a split by time, and its cutoff: chosen once, then fixed."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl

from models.errors import SchemaError
from models.features.moments import parse_moments
from models.features.schema import Moment, Role, TableSchema

_MICROSECOND = dt.timedelta(microseconds=1)
_MOMENT = pl.Datetime("us")


def instants_of(frame: pl.DataFrame, schema: TableSchema) -> pl.Series:
    """The time of every row, of a group that of its first row: numbers as they are, dates and times as Datetime[us].

    Raises: SchemaError no_time_column, invalid_time_column.
    """
    times = schema.with_role(Role.TIME)
    if not times:
        raise SchemaError(
            'A split by time needs a column with the role "time". Give one column that role, or leave the split out.',
            code="no_time_column",
        )
    instants = _instants(frame[times[0].name])
    group = schema.with_role(Role.GROUP)
    if not group:
        return instants
    table = pl.DataFrame({"group": frame[group[0].name], "instant": instants})
    first = pl.col("instant").min().over("group")
    return table.select(pl.when(pl.col("group").is_null()).then("instant").otherwise(first))["instant"]


def chosen_cutoff(instants: pl.Series, fraction: float) -> Moment | None:
    """The moment from which on about `fraction` of the rows lie, rows of one moment together; None where no row
    has a time or none shall evaluate."""
    known = instants.drop_nulls().sort()
    if not len(known) or fraction <= 0.0:
        return None
    boundary = known[min(len(known) - 1, math.ceil(len(known) * (1.0 - fraction)))]
    share_from = float((known >= boundary).mean() or 0.0)
    later = known.filter(known > boundary)
    if abs(share_from - fraction) <= abs(len(later) / len(known) - fraction) and share_from < 1.0:
        return _as_moment(boundary)
    return _as_moment(later[0] if len(later) else _next_after(boundary))


def cutoff_instant(cutoff: Moment, instants: pl.Series) -> int | float | dt.datetime:
    """`cutoff` as a value that `instants` can be compared with.

    Raises: SchemaError invalid_cutoff, without the cutoff.
    """
    if instants.dtype.is_numeric():
        if isinstance(cutoff, str):
            raise _invalid_cutoff("a number, since the time column holds numbers", "text")
        return cutoff
    if not isinstance(cutoff, str):
        raise _invalid_cutoff('ISO 8601 text such as "2024-02-29" or "2024-02-29T12:00:00"', "a number")
    try:
        moment = dt.datetime.fromisoformat(cutoff)
    except ValueError:
        raise _invalid_cutoff(
            'ISO 8601 text such as "2024-02-29" or "2024-02-29T12:00:00"', f"text of {len(cutoff)} characters"
        ) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment


def _instants(column: pl.Series) -> pl.Series:
    if column.dtype.is_numeric():
        return column
    if column.dtype == pl.Boolean:
        raise _invalid_time(column, "boolean")
    moments = parse_moments(column) if column.dtype == pl.String else column
    if moments is None:
        raise _invalid_time(column, "text that is not in one unambiguous date format throughout")
    return moments.cast(_MOMENT)


def _next_after(instant: int | float | dt.datetime) -> int | float | dt.datetime:
    if isinstance(instant, dt.datetime):
        # "Never" is often written as the last moment there is: the rows of that moment evaluate then.
        return instant if instant == dt.datetime.max else instant + _MICROSECOND
    return instant + 1 if isinstance(instant, int) else float(np.nextafter(instant, np.inf))


def _as_moment(instant: int | float | dt.datetime) -> Moment:
    return instant.isoformat() if isinstance(instant, dt.datetime) else instant


def _invalid_cutoff(expected: str, received: str) -> SchemaError:
    return SchemaError(f"The cutoff of this split is {expected}; received {received}.", code="invalid_cutoff")


def _invalid_time(column: pl.Series, received: str) -> SchemaError:
    return SchemaError(
        f"Column {column.name!r} has the role time but holds {received}. Use ISO 8601 (2024-02-29), or a number.",
        code="invalid_time_column", column=column.name,
    )  # fmt: skip
