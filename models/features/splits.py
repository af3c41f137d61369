"""Which rows train and which evaluate: decided once at ingest, the same on every machine.

The side of a row is a function of blake2b over its group, else its key, else its values, so that a group, and
exact duplicates, stay together; or of its time, the latest rows evaluating. `SPLIT_VERSION` names the function:
snapshots keep the sides they were given when it changes.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import polars as pl

from models.errors import SchemaError
from models.features.moments import parse_moments
from models.features.row_text import row_texts
from models.features.schema import KEY_COLUMN, RESERVED_COLUMNS, SPLIT_COLUMN, Role, SplitBy, TableSchema

SPLIT_VERSION = b"rootstock-split1"  # at most 16 bytes: blake2b's `person`
TRAIN, EVALUATION = "train", "evaluation"
_CHUNK_ROWS = 100_000


def assign_splits(
    frame: pl.DataFrame, schema: TableSchema, split: SplitBy, evaluation_fraction: float
) -> pl.Series:
    """`frame` [N]: the stored columns, with `_key` where the table has a key. Returns `_split`, String [N].

    Raises: SchemaError no_time_column, invalid_time_column.
    """
    if split.by == "time":
        is_evaluation = _by_time(frame, schema, evaluation_fraction)
    else:
        is_evaluation = _by_hash(frame, schema, evaluation_fraction)
    sides = pl.Series(SPLIT_COLUMN, [TRAIN, EVALUATION]).gather(is_evaluation.astype(np.uint32))
    return sides.alias(SPLIT_COLUMN)


def _by_hash(frame: pl.DataFrame, schema: TableSchema, fraction: float) -> np.ndarray:
    """bool [N]."""
    group = schema.with_role(Role.GROUP)
    if group:
        # A row without a group stands alone: all of them on one side would be one huge group.
        sides = _sides_of(frame.select(group[0].name), fraction)
        is_null = frame[group[0].name].is_null().to_numpy()
        if is_null.any():
            sides[is_null] = _sides_of(frame.filter(is_null).drop(RESERVED_COLUMNS, strict=False), fraction)
        return sides
    if schema.with_role(Role.KEY) and KEY_COLUMN in frame.columns:
        return _sides_of(frame.select(KEY_COLUMN), fraction)
    return _sides_of(frame.drop(RESERVED_COLUMNS, strict=False), fraction)


def _sides_of(frame: pl.DataFrame, fraction: float) -> np.ndarray:
    """bool [N]: whether the 64-bit hash of a row falls into the lowest `fraction` of the range."""
    threshold = min(int(fraction * 2.0**64), 2**64 - 1)
    sides = np.empty(frame.height, dtype=bool)
    for start in range(0, frame.height, _CHUNK_ROWS):
        texts = row_texts(frame.slice(start, _CHUNK_ROWS))
        digests = b"".join(
            blake2b(text.encode(), digest_size=8, person=SPLIT_VERSION).digest() for text in texts
        )
        sides[start : start + _CHUNK_ROWS] = np.frombuffer(digests, dtype=">u8") < threshold
    return sides


def _by_time(frame: pl.DataFrame, schema: TableSchema, fraction: float) -> np.ndarray:
    """bool [N]: the latest rows. Rows of one moment, and of one group (by its first row), stay together; rows
    without a time train."""
    instants = _instants(frame, schema)
    group = schema.with_role(Role.GROUP)
    if group:
        table = pl.DataFrame({"group": frame[group[0].name], "instant": instants})
        first = pl.col("instant").min().over("group")
        instants = table.select(pl.when(pl.col("group").is_null()).then("instant").otherwise(first))[
            "instant"
        ]
    known = np.sort(instants.drop_nulls().to_numpy())
    if not len(known) or fraction <= 0.0:
        return np.zeros(frame.height, dtype=bool)
    boundary = known[min(len(known) - 1, int(np.ceil(len(known) * (1.0 - fraction))))]
    share_from = float((known >= boundary).mean())
    share_after = float((known > boundary).mean())
    takes_boundary = abs(share_from - fraction) <= abs(share_after - fraction) and share_from < 1.0
    later = instants >= boundary if takes_boundary else instants > boundary
    is_evaluation: np.ndarray = later.fill_null(value=False).to_numpy()
    return is_evaluation


def _instants(frame: pl.DataFrame, schema: TableSchema) -> pl.Series:
    """Int64 or Float64 [N], ascending with time."""
    times = schema.with_role(Role.TIME)
    if not times:
        raise SchemaError(
            'A split by time needs a column with the role "time". Give one column that role, or leave the split out.',
            code="no_time_column",
        )
    column = frame[times[0].name]
    if column.dtype.is_numeric():
        return column
    if column.dtype == pl.Boolean:
        raise _invalid_time(column, "boolean")
    moments = parse_moments(column) if column.dtype == pl.String else column
    if moments is None:
        raise _invalid_time(column, "text that is not in one unambiguous date format throughout")
    return moments.to_physical().cast(pl.Int64)


def _invalid_time(column: pl.Series, received: str) -> SchemaError:
    return SchemaError(
        f"Column {column.name!r} has the role time but holds {received}. Use ISO 8601 (2024-02-29), or a number.",
        code="invalid_time_column", column=column.name,
    )  # fmt: skip
