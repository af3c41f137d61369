"""A tiny table with a column of every kind that is derived, and two plain ones."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from models.features.schema import ColumnKind, TableSchema
from tests.models.small_tables import column

KINDS_SCHEMA = TableSchema(
    columns=(
        column("joined", ColumnKind.DATETIME, "date"),
        column("seen", ColumnKind.DATETIME, "string"),
        column("stamp", ColumnKind.DATETIME, "integer"),
        column("note", ColumnKind.TEXT, "string"),
        column("zip", ColumnKind.POSTAL_CODE, "string"),
        column("plz", ColumnKind.POSTAL_CODE, "integer"),
        column("address", ColumnKind.IP_ADDRESS, "string"),
        column("colour", ColumnKind.CATEGORICAL, "string"),
        column("price", ColumnKind.CONTINUOUS, "float"),
    )
)
DERIVED = ("joined", "seen", "stamp", "note", "zip", "plz", "address")

_WORDS = ("late", "broken", "great", "slow", "box", "7", "again", "never", "shipped", "Größe")


def kinds_frame(num_rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of `KINDS_SCHEMA`; about a tenth of the derived cells is missing."""
    rng = np.random.default_rng(seed)
    moments = [
        dt.datetime(2021, 1, 1) + dt.timedelta(minutes=int(m)) for m in rng.integers(0, 10**6, num_rows)
    ]
    data: dict[str, list[object]] = {
        "joined": [moment.date() for moment in moments],
        "seen": [moment.strftime("%d/%m/%Y %H:%M") for moment in moments],
        "stamp": [int((moment - dt.datetime(1970, 1, 1)).total_seconds()) for moment in moments],
        "note": [" ".join(rng.choice(_WORDS, size=int(rng.integers(3, 9)))) for _ in range(num_rows)],
        "zip": [f"{code:05d}" for code in rng.integers(0, 40, num_rows) * 251],
        "plz": [int(code) for code in rng.integers(0, 40, num_rows) * 2503],
        "address": [f"10.{a}.{b}.{c}" for a, b, c in rng.integers(0, 3, (num_rows, 3))],
        "colour": [("red", "blue", "green")[i] for i in rng.integers(0, 3, num_rows)],
        "price": rng.normal(size=num_rows).tolist(),
    }
    for name in DERIVED:
        data[name] = [None if rng.random() < 0.1 else value for value in data[name]]
    return pl.DataFrame(data, schema_overrides={"joined": pl.Date, "stamp": pl.Int64, "plz": pl.Int64})
