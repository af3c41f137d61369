"""When a label became known against when its row was true.

A label whose `at` precedes its row's `time` stands beside facts that nobody had when it became known: a row of March
with the outcome of January. Fitting on it would learn from the future, so it is not fitted.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.schema import Role, TableSchema
from models.features.snapshot import Snapshot

MAX_SECONDS = 253_402_300_800.0  # the year 10000
MIN_SECONDS = -62_135_596_800.0  # the year 1


def row_seconds(snapshot: Snapshot, schema: TableSchema) -> npt.NDArray[np.float64] | None:
    """UNIX seconds [N] of the rows' `time` column, NaN where it is missing; None where the table has no such column, or
    one of plain numbers, whose unit nobody states.

    Times without a zone are UTC; a date is its first moment.
    """
    times = [column for column in schema.with_role(Role.TIME) if column.storage_type in ("date", "datetime")]
    if len(times) != 1 or times[0].name not in snapshot.columns:
        return None
    values = snapshot.read([times[0].name], with_row_ids=False).to_series()
    return seconds_of(values)


def seconds_of(values: pl.Series) -> npt.NDArray[np.float64]:
    """UNIX seconds [N] of dates or datetimes, NaN where null."""
    micros = values.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64)
    return (micros / 1e6).fill_null(float("nan")).to_numpy()


def precedes_row(at: pl.Series, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which labels became known before their rows were true.

    Shape: `at` Float64 [n], null where it is not known; `seconds` [n] of the labels' rows.
    """
    known = at.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.asarray(known < seconds)  # false where either is NaN
