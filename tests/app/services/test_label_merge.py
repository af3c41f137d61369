"""The laws of merging and comparing label sets, whatever the labels."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.label_files import LABEL_FILE_SCHEMA
from app.services.label_merge import compare, merge

KEYS = st.sampled_from(["a", "b", "c", "01", "1", "é", "x|y"])
NUMBERS = st.none() | st.floats(1.0, 5.0)


def frames(values: st.SearchStrategy[str | None]) -> st.SearchStrategy[pl.DataFrame]:
    rows = st.dictionaries(KEYS, st.tuples(values, NUMBERS, NUMBERS), max_size=7)
    return rows.map(
        lambda found: pl.DataFrame(
            [(key, *row) for key, row in found.items()], schema=LABEL_FILE_SCHEMA, orient="row"
        )
    )


LABELS = frames(st.sampled_from(['"x"', '"y"', "1"]))
SENT = frames(st.sampled_from(['"x"', '"y"', "1"]) | st.none())


def content(frame: pl.DataFrame) -> set[tuple[object, ...]]:
    return set(frame.select(LABEL_FILE_SCHEMA.names()).rows())


@settings(max_examples=40)
@given(LABELS, SENT)
def test__merge__applied_twice__is_applied_once(before: pl.DataFrame, sent: pl.DataFrame) -> None:
    once = merge(before, sent).after
    again = merge(once, sent)
    assert content(again.after) == content(once)
    assert again.replaced == again.accepted
    assert again.withdrawn == 0


@settings(max_examples=40)
@given(LABELS, LABELS)
def test__merge__withdrawn_after_added__is_as_before(before: pl.DataFrame, sent: pl.DataFrame) -> None:
    fresh = sent.join(before, on="key", how="anti")
    added = merge(before, fresh)
    assert (added.accepted, added.replaced) == (len(fresh), 0)
    gone = merge(added.after, fresh.with_columns(pl.lit(None, dtype=pl.String).alias("value")))
    assert content(gone.after) == content(before)
    assert gone.withdrawn == len(fresh)


@settings(max_examples=40)
@given(LABELS, SENT)
def test__merge__counts__add_up(before: pl.DataFrame, sent: pl.DataFrame) -> None:
    merged = merge(before, sent)
    assert len(merged.after) == len(before) + merged.accepted - merged.replaced - merged.withdrawn
    assert merged.after["key"].n_unique() == len(merged.after)
    assert merged.after["value"].null_count() == 0


@settings(max_examples=40)
@given(LABELS, SENT)
def test__merge__replacing_all__leaves_what_is_sent(before: pl.DataFrame, sent: pl.DataFrame) -> None:
    merged = merge(before, sent, replaces_all=True)
    assert content(merged.after) == content(sent.drop_nulls("value"))
    assert len(merged.after) == len(before) + merged.accepted - merged.replaced - merged.withdrawn


@settings(max_examples=40)
@given(LABELS, LABELS)
def test__compare__the_other_way_round__changes_places(one: pl.DataFrame, two: pl.DataFrame) -> None:
    there, back = compare(one, two), compare(two, one)
    assert (there.added, there.withdrawn, there.changed) == (back.withdrawn, back.added, back.changed)
    assert (there.details_changed, there.unchanged) == (back.details_changed, back.unchanged)
    swapped = back.changes.select(
        "key", pl.col("value").alias("before"), pl.col("value_other").alias("after")
    )
    assert there.changes.rows() == swapped.rows()


@settings(max_examples=40)
@given(LABELS)
def test__compare__with_itself__finds_nothing(labels: pl.DataFrame) -> None:
    found = compare(labels, labels)
    assert (len(found.changes), found.details_changed, found.unchanged) == (0, 0, len(labels))


@settings(max_examples=40)
@given(LABELS, LABELS)
def test__compare__applied__gives_the_other_version(before: pl.DataFrame, after: pl.DataFrame) -> None:
    changes = compare(after, before).changes
    values = dict(before.select("key", "value").rows())
    for key, _, value in changes.rows():
        if value is None:
            del values[key]
        else:
            values[key] = value
    assert values == dict(after.select("key", "value").rows())
