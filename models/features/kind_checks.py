"""Whether a column's stored values can be read as a kind that somebody says it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from models.features.derived.ip_address import is_address
from models.features.integer_moments import integer_form
from models.features.moments import find_format, format_share
from models.features.schema import ColumnKind, StorageType

_SAMPLE = 2_000  # distinct values, evenly spaced
_MIN_SHARE = 0.5  # of them that must be readable; the others are unknown


def kind_fault(column: pl.Series, storage: StorageType, kind: ColumnKind) -> str | None:
    """What speaks against it, to follow "it"; None where nothing does. Any column can be categorical, identifier or
    constant."""
    check = _CHECKS.get(kind)
    return None if check is None else check(column, storage)


def _continuous(column: pl.Series, storage: StorageType) -> str | None:
    if storage in ("integer", "float", "boolean"):
        return None
    return f"is stored as {storage}, since not every cell is a number"


def _boolean(column: pl.Series, storage: StorageType) -> str | None:
    num_distinct = column.drop_nulls().n_unique()
    return f"has {num_distinct:,} distinct values; a boolean has two" if num_distinct > 2 else None


def _datetime(column: pl.Series, storage: StorageType) -> str | None:
    if storage in ("float", "boolean"):
        return f"is stored as {storage}, which holds no time"
    sample = _sample(column)
    if storage == "integer" and len(sample) and integer_form(sample) is None:
        return (
            "holds whole numbers that are neither seconds, milliseconds or microseconds since 1970, nor dates written as "
            "yyyymmdd, nor years"
        )
    if storage == "string" and len(sample):
        found = find_format(sample)
        share = 0.0 if found is None else format_share(sample, found)
        if share < _MIN_SHARE:
            return f"has a date or time of one format in {share:.0%} of its distinct values; half are needed"
    return None


def _text(column: pl.Series, storage: StorageType) -> str | None:
    return None if storage == "string" else f"is stored as {storage}, not as text"


def _ip_address(column: pl.Series, storage: StorageType) -> str | None:
    if storage != "string":
        return f"is stored as {storage}, not as text"
    sample = _sample(column)
    share = sum(map(is_address, sample.to_list())) / max(len(sample), 1)
    if len(sample) and share < _MIN_SHARE:
        return f"has an address in {share:.0%} of its distinct values; half are needed"
    return None


def _postal_code(column: pl.Series, storage: StorageType) -> str | None:
    if storage not in ("string", "integer"):
        return f"is stored as {storage}, not as text or integer"
    lowest = column.min() if storage == "integer" else None
    if isinstance(lowest, int) and lowest < 0:
        return "has negative numbers, which no postal code is"
    return None


def _sample(column: pl.Series) -> pl.Series:
    distinct = column.drop_nulls().unique(maintain_order=True)
    return distinct.gather_every(max(1, -(-len(distinct) // _SAMPLE)))


_CHECKS: Mapping[ColumnKind, Callable[[pl.Series, StorageType], str | None]] = {
    ColumnKind.CONTINUOUS: _continuous,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.DATETIME: _datetime,
    ColumnKind.TEXT: _text,
    ColumnKind.IP_ADDRESS: _ip_address,
    ColumnKind.POSTAL_CODE: _postal_code,
}
