"""Which rows train and which evaluate: decided once per row, the same on every machine.

The side of a row is a function of blake2b over its group, its key or its values, so that a group, and exact
duplicates, stay together; or of its time, the latest rows evaluating. `SPLIT_VERSION` names the function:
snapshots keep the sides they were given when it changes (and `split_continuity` carries them from one snapshot to
the next).

Rows that differ in their key alone are copies. A split by key keeps copies together, as long as at most half of
the rows have one: beyond that the table has few distinct rows, and keeping them together would leave the
evaluation part to a handful of hashes.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

import numpy as np
import polars as pl

from models.errors import SchemaError
from models.features.row_text import row_texts
from models.features.schema import (
    KEY_COLUMN,
    RESERVED_COLUMNS,
    SPLIT_COLUMN,
    Role,
    SplitBy,
    SplitRule,
    TableSchema,
)
from models.features.time_split import chosen_cutoff, cutoff_instant, instants_of

SPLIT_VERSION = b"rootstock-split1"  # at most 16 bytes: blake2b's `person`
TRAIN, EVALUATION = "train", "evaluation"
MAX_COPIES = 0.5
_CHUNK_ROWS = 100_000


def assign_splits(
    frame: pl.DataFrame, schema: TableSchema, split: SplitBy, evaluation_fraction: float
) -> pl.Series:
    """`frame` [N]: the stored columns, with `_key` where the table has a key. Returns `_split`, String [N].

    Raises: SchemaError, as `settle_rule`.
    """
    return apply_rule(frame, schema, settle_rule(frame, schema, split, evaluation_fraction))


def settle_rule(
    frame: pl.DataFrame, schema: TableSchema, split: SplitBy, evaluation_fraction: float
) -> SplitRule:
    """What the caller's wish comes to on these rows.

    Raises: SchemaError no_time_column, no_group_column, no_key_column, invalid_time_column, invalid_cutoff.
    """
    by = _settled_by(schema, split)
    cutoff = None
    if by == "time":
        instants = instants_of(frame, schema)
        if split.cutoff is None:
            cutoff = chosen_cutoff(instants, evaluation_fraction)
        else:
            cutoff_instant(split.cutoff, instants)
            cutoff = split.cutoff
    copies_together = False
    if by == "key" and not schema.with_role(Role.GROUP):
        content = content_of(frame, schema)
        copies_together = (
            bool(content.width) and int(content.is_duplicated().sum()) <= MAX_COPIES * content.height
        )
    return SplitRule(
        by=by, cutoff=cutoff, copies_together=copies_together, evaluation_fraction=evaluation_fraction
    )


def apply_rule(frame: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> pl.Series:
    """`_split`, String [N], of rows that have none yet. Raises: SchemaError invalid_time_column."""
    if rule.by == "time":
        is_evaluation = _by_time(frame, schema, rule)
    elif rule.by == "group":
        is_evaluation = _by_group(frame, schema, rule)
    elif rule.by == "key":
        is_evaluation = _by_key(frame, schema, rule)
    else:
        is_evaluation = _sides_of(content_of(frame, schema), rule.evaluation_fraction)
    sides = pl.Series(SPLIT_COLUMN, [TRAIN, EVALUATION]).gather(is_evaluation.astype(np.uint32))
    return sides.alias(SPLIT_COLUMN)


def content_of(frame: pl.DataFrame, schema: TableSchema) -> pl.DataFrame:
    """What makes two rows copies of each other: all columns but keys."""
    keys = [column.name for column in schema.with_role(Role.KEY)]
    return frame.drop(*RESERVED_COLUMNS, *keys, strict=False)


def _settled_by(schema: TableSchema, split: SplitBy) -> Literal["time", "group", "key", "row"]:
    has_group, has_key = bool(schema.with_role(Role.GROUP)), bool(schema.with_role(Role.KEY))
    if split.by == "auto":
        return "group" if has_group else "key" if has_key else "row"
    if split.by == "time":
        return "time"
    for by, has_column in (("group", has_group), ("key", has_key)):
        if split.by == by and not has_column:
            raise SchemaError(
                f'A split by {by} needs a column with the role "{by}". Give one column that role, or leave the split out.',
                code=f"no_{by}_column",
            )
    return split.by


def _by_group(frame: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> np.ndarray:
    """bool [N]. A row without a group stands alone: all of them on one side would be one huge group."""
    group = schema.with_role(Role.GROUP)[0].name
    sides = _sides_of(frame.select(group), rule.evaluation_fraction)
    is_null = frame[group].is_null().to_numpy()
    if is_null.any():
        alone = frame.filter(is_null).drop(RESERVED_COLUMNS, strict=False)
        sides[is_null] = _sides_of(alone, rule.evaluation_fraction)
    return sides


def _by_key(frame: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> np.ndarray:
    """bool [N]. Copies take the side of what they share."""
    sides = _sides_of(frame.select(KEY_COLUMN), rule.evaluation_fraction)
    if rule.copies_together:
        content = content_of(frame, schema)
        is_copy = content.is_duplicated().to_numpy()
        if is_copy.any():
            sides[is_copy] = _sides_of(content.filter(is_copy), rule.evaluation_fraction)
    return sides


def _by_time(frame: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> np.ndarray:
    """bool [N]: at or after the cutoff; of a group, by its first row. Rows without a time train."""
    instants = instants_of(frame, schema)
    if rule.cutoff is None:
        return np.zeros(frame.height, dtype=bool)
    later = instants >= cutoff_instant(rule.cutoff, instants)
    is_evaluation: np.ndarray = later.fill_null(value=False).to_numpy()
    return is_evaluation


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
