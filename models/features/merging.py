"""Rows of a file joined to the rows of a snapshot: replace, append, upsert.

Rows that stay keep their order and come first; rows that are new follow in the order of the file. In `replace` the
file's order counts. An update takes the values of the columns that the file has; columns it lacks stay as they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl
from pydantic import BaseModel, ConfigDict

from models.errors import SchemaError
from models.features.reading import RawTable
from models.features.schema import KEY_COLUMN, SPLIT_COLUMN
from models.features.widening import as_type, common_type, fits_type, lenient_cast

_NEW, _AT = "\0new", "\0at"  # no column has a NUL in its name
_ROW_IDS = (KEY_COLUMN, SPLIT_COLUMN)


class Mode(StrEnum):
    REPLACE = "replace"
    APPEND = "append"
    UPSERT = "upsert"


class OnConflict(StrEnum):
    """What becomes of a row of the file whose key is there already."""

    REFUSE = "refuse"
    KEEP = "keep"
    UPDATE = "update"


class Changes(BaseModel):
    """Rows by what happened to them, against the snapshot before; `kept` of `unchanged` had a row in the file that
    was passed over."""

    model_config = ConfigDict(frozen=True)

    added: int
    updated: int
    unchanged: int
    removed: int
    kept: int = 0


@dataclass(frozen=True)
class Merged:
    """`frame`: `_key`, `_split` (null for new rows) and the columns of the next snapshot; `before`: the rows before,
    in the same columns and types; `incoming`: rows of the file that came in (`append`: the new ones only);
    `num_known`: rows before that took values of the file, and `emptied`: how many of them lost their value of a column."""

    frame: pl.DataFrame
    before: pl.DataFrame
    incoming: pl.DataFrame
    changes: Changes
    num_known: int = 0
    emptied: Mapping[str, int] = field(default_factory=dict)


def merge(
    before: pl.DataFrame, table: RawTable, keys: pl.Series | None, mode: Mode, on_conflict: OnConflict
) -> Merged:
    """`before`: stored rows with `_key` and `_split`; `table`: the file's rows [n]; `keys`: their `_key`, String [n],
    None for a table without a key, whose rows have ordinals.

    Raises: SchemaError key_exists, with the count and the place of the first.
    """
    before, new = _aligned(before, table.frame, mode)
    if keys is not None:
        new = new.with_columns(keys.alias(KEY_COLUMN))
    if mode is Mode.REPLACE:
        return _replaced(before, new) if keys is not None else _replaced_unkeyed(before, new)
    if keys is None:
        return _appended(
            before, new, len(new), Changes(added=len(new), updated=0, unchanged=len(before), removed=0)
        )
    places = new.select(KEY_COLUMN).join(
        before.select(KEY_COLUMN).with_row_index(_AT), on=KEY_COLUMN, how="left", maintain_order="left"
    )[_AT]
    is_known = places.is_not_null()
    num_known = int(is_known.sum())
    if num_known and on_conflict is OnConflict.REFUSE:
        row = int(is_known.arg_max() or 0)
        raise SchemaError(
            f"{num_known:,} of the file's {len(new):,} rows have a key that the table has already, the first at "
            f'{table.place_of_row(row)}. Send on_conflict "keep" or "update", or the mode "upsert".',
            code="key_exists", count=num_known, line=table.line_of_row(row),
        )  # fmt: skip
    num_added, num_updated = len(new) - num_known, 0
    known = new.filter(is_known)
    after, emptied = before, dict[str, int]()
    if num_known and on_conflict is OnConflict.UPDATE:
        after, num_updated = _updated(before, known, list(table.frame.columns))
        emptied = _emptied(before, after)
    changes = Changes(
        added=num_added,
        updated=num_updated,
        unchanged=len(before) - num_updated,
        removed=0,
        kept=num_known if on_conflict is OnConflict.KEEP else 0,
    )
    merged = _appended(after, new.filter(~is_known), num_added, changes)
    incoming = merged.frame if mode is Mode.UPSERT else merged.incoming
    return Merged(merged.frame, before, incoming, changes, num_known if emptied else 0, emptied)


def _emptied(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, int]:
    """`before` and `after`: the same rows in one order. Columns in which rows lost their value -> how many did."""
    counts = {
        name: int((before[name].is_not_null() & after[name].is_null()).sum())
        for name in before.columns
        if name not in _ROW_IDS and after[name].null_count()
    }
    return {name: count for name, count in counts.items() if count}


def retyped(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, tuple[pl.DataType, pl.DataType]]:
    """Columns of both whose stored type differs."""
    return {
        name: (before[name].dtype, after[name].dtype)
        for name in after.columns
        if name in before.columns and before[name].dtype != after[name].dtype
    }


def _aligned(before: pl.DataFrame, new: pl.DataFrame, mode: Mode) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both in the columns of the next snapshot, each in one type."""
    stored = [name for name in before.columns if name not in _ROW_IDS]
    shared = [name for name in stored if name in new.columns]
    names = shared if mode is Mode.REPLACE else stored
    names = [*names, *(name for name in new.columns if name not in stored)]
    old_columns, new_columns = [], []
    for name in names:
        dtype = _type_of(before, new, name, mode)
        old_columns.append(_column(before, name, dtype))
        new_columns.append(_column(new, name, dtype))
    return before.select(*_ROW_IDS, *old_columns), pl.DataFrame(new_columns)


def _type_of(before: pl.DataFrame, new: pl.DataFrame, name: str, mode: Mode) -> pl.DataType:
    if name not in before.columns:
        return new[name].dtype
    if name not in new.columns:
        return before[name].dtype
    if mode is Mode.REPLACE and not fits_type(new[name], before[name].dtype):
        return new[name].dtype
    return common_type(before[name], new[name]) if mode is not Mode.REPLACE else before[name].dtype


def _column(frame: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.Series:
    if name not in frame.columns:
        return pl.Series(name, [None] * len(frame), dtype=dtype)
    values = frame[name]
    # What does not fit is of rows that are going: only a replaced column is compared in a type it may not fit.
    return as_type(values, dtype) if fits_type(values, dtype) else lenient_cast(values, dtype)


def _updated(before: pl.DataFrame, known: pl.DataFrame, columns: list[str]) -> tuple[pl.DataFrame, int]:
    """`before` with the values of `known` rows in `columns`, and how many rows that changed."""
    renamed = {name: f"{_NEW}{name}" for name in columns}
    joined = before.join(
        known.select(
            KEY_COLUMN, *(pl.col(name).alias(new) for name, new in renamed.items()), pl.lit(True).alias(_AT)
        ),
        on=KEY_COLUMN,
        how="left",
        maintain_order="left",
    )
    is_known = pl.col(_AT).is_not_null()
    differs = [is_known & pl.col(name).ne_missing(pl.col(new)) for name, new in renamed.items()]
    num_updated = int(joined.select(pl.any_horizontal(differs).sum()).item())
    values = [
        pl.when(is_known).then(pl.col(new)).otherwise(pl.col(name)).alias(name)
        for name, new in renamed.items()
    ]
    return joined.with_columns(values).select(before.columns), num_updated


def _appended(before: pl.DataFrame, new: pl.DataFrame, num_added: int, changes: Changes) -> Merged:
    if KEY_COLUMN not in new.columns:
        start = len(before)
        ordinals = pl.int_range(start, start + num_added, eager=True, dtype=pl.Int64)
        new = new.with_columns(ordinals.cast(pl.String).alias(KEY_COLUMN))
    new = new.with_columns(pl.lit(None, pl.String).alias(SPLIT_COLUMN)).select(before.columns)
    return Merged(pl.concat([before, new]), before, new, changes)


def _replaced(before: pl.DataFrame, new: pl.DataFrame) -> Merged:
    columns = [name for name in before.columns if name not in _ROW_IDS]
    renamed = {name: f"{_NEW}{name}" for name in columns}
    stored = before.select(
        KEY_COLUMN, SPLIT_COLUMN, *(pl.col(name).alias(old) for name, old in renamed.items())
    )
    joined = new.join(stored, on=KEY_COLUMN, how="left", maintain_order="left")
    was_there = pl.col(SPLIT_COLUMN).is_not_null()
    differs = pl.any_horizontal([pl.col(name).ne_missing(pl.col(old)) for name, old in renamed.items()])
    num_shared, num_updated = joined.select(
        was_there.sum().alias("shared"), (was_there & differs).sum().alias("updated")
    ).row(0)
    changes = Changes(
        added=len(new) - num_shared,
        updated=num_updated,
        unchanged=num_shared - num_updated,
        removed=len(before) - num_shared,
    )
    frame = joined.select(before.columns)
    return Merged(frame, before, frame, changes)


def _replaced_unkeyed(before: pl.DataFrame, new: pl.DataFrame) -> Merged:
    """Rows are told apart by their values alone: each pairs with one equal row that was there."""
    counts = [
        frame.drop(_ROW_IDS, strict=False).hash_rows().alias("hash").value_counts(name="count")
        for frame in (before, new)
    ]
    shared = (
        counts[0].join(counts[1], on="hash").select(pl.min_horizontal("count", "count_right").sum()).item()
    )
    changes = Changes(added=len(new) - shared, updated=0, unchanged=shared, removed=len(before) - shared)
    ordinals = pl.int_range(len(new), eager=True, dtype=pl.Int64).cast(pl.String)
    frame = new.with_columns(ordinals.alias(KEY_COLUMN), pl.lit(None, pl.String).alias(SPLIT_COLUMN)).select(
        before.columns
    )
    return Merged(frame, before, frame, changes)
