"""Sides from one snapshot to the next: a row that was there keeps its side, whatever became of its values.

New rows are assigned by the table's rule, with what is known coming first: a row of a known group takes the side of
its group, and a copy of a known row takes the side of that row (by row, and by key where copies stay together).
"""

from __future__ import annotations

import polars as pl

from models.features.schema import SPLIT_COLUMN, Role, SplitRule, TableSchema
from models.features.splits import apply_rule, content_of

_KNOWN = "_known"


def continue_splits(
    frame: pl.DataFrame, before: pl.DataFrame, schema: TableSchema, rule: SplitRule
) -> pl.Series:
    """`_split`, String [N], of the rows of `frame`, where it is null for those that are new.

    `before`: the rows of the snapshot before, with their `_split`, in the types and columns of `frame`.

    Raises: SchemaError invalid_time_column.
    """
    is_new = frame[SPLIT_COLUMN].is_null()
    if not is_new.any():
        return frame[SPLIT_COLUMN]
    new = frame.filter(is_new).drop(SPLIT_COLUMN)
    known = _known_sides(new, before, schema, rule)
    sides = pl.select(pl.coalesce(known, apply_rule(new, schema, rule))).to_series()
    places = is_new.arg_true()
    return frame[SPLIT_COLUMN].clone().scatter(places, sides).alias(SPLIT_COLUMN)


def _known_sides(new: pl.DataFrame, before: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> pl.Series:
    """The sides that the rows before give to `new`, String [N]; null where they say nothing."""
    group = schema.with_role(Role.GROUP)
    if rule.by in ("group", "time") and group:
        return _inherited(new.select(group[0].name), before.select(group[0].name), before[SPLIT_COLUMN])
    if rule.by == "row" or (rule.by == "key" and rule.copies_together):
        content, stored = content_of(new, schema), content_of(before, schema)
        if content.width:
            hashes = [part.hash_rows().alias("hash").to_frame() for part in (content, stored)]
            return _inherited(hashes[0], hashes[1], before[SPLIT_COLUMN])
    return pl.Series(_KNOWN, [None] * new.height, dtype=pl.String)


def _inherited(new: pl.DataFrame, before: pl.DataFrame, sides: pl.Series) -> pl.Series:
    """Of equal values [N] the side of the first that was there; null and unknown values have none."""
    name = new.columns[0]
    first = (
        before.with_columns(sides.alias(_KNOWN))
        .filter(pl.col(name).is_not_null())
        .unique(subset=name, keep="first", maintain_order=True)
    )
    return new.join(first, on=name, how="left", maintain_order="left")[_KNOWN]
