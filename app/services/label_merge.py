"""Labels before, labels sent, labels after: frames in, frames out, nothing stored.

All frames have the columns of `label_files.LABEL_FILE_SCHEMA`, one row per key; in what is sent `value` is null where a
label is withdrawn. Sending the same twice is sending it once; withdrawing what was added gives what was before.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from app.services.label_files import LABEL_FILE_SCHEMA

_OWN = pl.col("value")
_OTHER = pl.col("value_other")


@dataclass(frozen=True)
class Merge:
    """`after` is all labels; `added` those of the request that have a value; `is_labelled` [n sent] whether the key had
    a label before."""

    after: pl.DataFrame
    added: pl.DataFrame
    is_labelled: pl.Series
    accepted: int
    replaced: int
    withdrawn: int


def merge(before: pl.DataFrame, sent: pl.DataFrame, *, replaces_all: bool = False) -> Merge:
    """Apply what is sent; `replaces_all` withdraws every label that is not in it."""
    names = LABEL_FILE_SCHEMA.names()
    is_labelled = sent["key"].is_in(before["key"].implode())
    has_value = sent["value"].is_not_null()
    added = sent.filter(has_value).select(names)
    kept = before.head(0) if replaces_all else before.join(sent, on="key", how="anti")
    num_replaced = int((is_labelled & has_value).sum())
    num_withdrawn = len(before) - num_replaced if replaces_all else int((is_labelled & ~has_value).sum())
    return Merge(
        after=pl.concat([kept.select(names), added]),
        added=added,
        is_labelled=is_labelled,
        accepted=len(added),
        replaced=num_replaced,
        withdrawn=num_withdrawn,
    )


@dataclass(frozen=True)
class Difference:
    """What is different in one version from another. `changes`: key, value_other (before), value (after), by key, null
    where there was no label."""

    changes: pl.DataFrame
    details_changed: int
    unchanged: int

    @property
    def added(self) -> int:
        return int(self.changes["value_other"].null_count())

    @property
    def withdrawn(self) -> int:
        return int(self.changes["value"].null_count())

    @property
    def changed(self) -> int:
        return len(self.changes) - self.added - self.withdrawn


def compare(labels: pl.DataFrame, other: pl.DataFrame) -> Difference:
    """What became of `other` in `labels`. The other way round added and withdrawn change places."""
    joined = labels.join(other, on="key", how="full", suffix="_other", coalesce=True)
    same_value = _OWN.eq_missing(_OTHER)
    same_details = pl.col("at").eq_missing(pl.col("at_other")) & pl.col("weight").eq_missing(
        pl.col("weight_other")
    )
    changes = joined.filter(~same_value).select("key", "value_other", "value").sort("key")
    num_same = len(joined) - len(changes)
    num_details = len(joined.filter(same_value & ~same_details))
    return Difference(changes, num_details, num_same - num_details)
