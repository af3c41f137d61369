"""The `_key` of every row: canonical text of the key columns, unique and never null."""

from __future__ import annotations

import polars as pl

from models.errors import SchemaError
from models.features.labels import MAX_KEY_CHARS
from models.features.reading import RawTable
from models.features.schema import KEY_COLUMN, Role, TableSchema

_KEY_STORAGE = ("string", "integer", "date", "datetime")


def row_keys(table: RawTable, schema: TableSchema) -> pl.Series:
    """`_key`, String [N]: the text of the key column; of several, `labels.composite_key`; without any, the row's
    ordinal. Integers and text are keys; dates and times enter as ISO text.

    Raises: SchemaError invalid_key_type, null_key, duplicate_key, invalid_key; with the count and the place.
    """
    columns = schema.with_role(Role.KEY)
    if not columns:
        return pl.int_range(table.frame.height, eager=True, dtype=pl.Int64).cast(pl.String).alias(KEY_COLUMN)
    parts = []
    for column in columns:
        if column.storage_type not in _KEY_STORAGE:
            raise SchemaError(
                f"A key is text or an integer; column {column.name!r} is stored as {column.storage_type}. Choose "
                "another key column, or none.",
                code="invalid_key_type", column=column.name,
            )  # fmt: skip
        values = table.frame[column.name]
        if num_null := values.null_count():
            row = int(values.is_null().arg_max() or 0)
            raise SchemaError(
                f"Every row needs a key; column {column.name!r} is empty in {num_null:,} rows, the first at "
                f"{table.place_of_row(row)}. Fill it, or leave the key out.",
                code="null_key", column=column.name, count=num_null, line=table.line_of_row(row),
            )  # fmt: skip
        parts.append(_text(values))
    keys = parts[0] if len(parts) == 1 else _joined(parts)
    keys = keys.alias(KEY_COLUMN)
    _check_lengths(table, keys)
    _check_unique(table, keys, [column.name for column in columns])
    return keys


def _text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Datetime:
        return values.dt.to_string("iso:strict")
    return values.cast(pl.String)


def _joined(parts: list[pl.Series]) -> pl.Series:
    escaped = [
        part.str.replace_all("\\", "\\\\", literal=True)
        .str.replace_all("|", "\\|", literal=True)
        .alias(str(position))
        for position, part in enumerate(parts)
    ]
    return pl.DataFrame(escaped).select(pl.concat_str(pl.all(), separator="|").alias(KEY_COLUMN)).to_series()


def _check_lengths(table: RawTable, keys: pl.Series) -> None:
    lengths = keys.str.len_chars()
    is_invalid = (lengths == 0) | (lengths > MAX_KEY_CHARS)
    if is_invalid.any():
        row = int(is_invalid.arg_max() or 0)
        raise SchemaError(
            f"A key has 1 to {MAX_KEY_CHARS:,} characters; {int(is_invalid.sum()):,} have not, the first at "
            f"{table.place_of_row(row)} ({lengths[row]:,}).",
            code="invalid_key", count=int(is_invalid.sum()), line=table.line_of_row(row),
        )  # fmt: skip


def _check_unique(table: RawTable, keys: pl.Series, names: list[str]) -> None:
    num_repeated = len(keys) - keys.n_unique()
    if not num_repeated:
        return
    row = int((~keys.is_first_distinct()).arg_max() or 0)
    raise SchemaError(
        f"A key names one row; {', '.join(map(repr, names))} repeats in {num_repeated:,} rows, the first repeat at "
        f'{table.place_of_row(row)}. Add a second key column, give it the role "group" instead, or remove the '
        "repeated rows.",
        code="duplicate_key", column=names[0], count=num_repeated, line=table.line_of_row(row),
    )  # fmt: skip
