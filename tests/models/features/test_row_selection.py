"""Rows to look at first: each kind once, far from each other."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.features.label_times import precedes_row, seconds_of
from models.features.row_selection import farthest_first, first_of_kind


def test__first_of_kind__groups_and_content__keep_the_first() -> None:
    frame = pl.DataFrame({"home": ["a", "a", None, None, "b"], "size": [1, 2, 3, 3, 4]})
    assert first_of_kind(frame, ["home"], []).tolist() == [True, False, True, True, True]
    assert first_of_kind(frame, ["home"], ["size"]).tolist() == [True, False, True, False, True]
    assert first_of_kind(frame, [], []).tolist() == [True] * 5
    assert first_of_kind(frame.head(0), ["home"], ["size"]).tolist() == []


def test__farthest_first__covered_rows__are_avoided() -> None:
    frame = pl.DataFrame({"size": [0.0, 10.0, 0.1, 5.0, 9.9], "kind": ["a", "a", "a", "a", "a"]})
    found = farthest_first(frame, 2, num_covered=2, generator=np.random.default_rng(0))
    assert found.tolist()[0] == 3
    assert set(farthest_first(frame, 9, num_covered=2, generator=np.random.default_rng(0))) == {2, 3, 4}


def test__farthest_first__clusters__are_all_visited() -> None:
    kinds = [f"kind {row % 5}" for row in range(100)]
    frame = pl.DataFrame({"kind": kinds, "empty": [None] * 100})
    found = farthest_first(frame, 5, generator=np.random.default_rng(1))
    assert {kinds[row] for row in found} == set(kinds)


def test__farthest_first__rows_that_are_all_alike__are_each_chosen_once() -> None:
    frame = pl.DataFrame({"kind": ["a"] * 7, "size": [None] * 7})
    assert sorted(farthest_first(frame, 7, generator=np.random.default_rng(1))) == list(range(7))


def test__precedes_row__only_known_moments__count() -> None:
    days = pl.Series(["2024-01-02", None, "2024-01-02", "2024-01-02"]).str.to_date()
    seconds = seconds_of(days)
    at = pl.Series([1704153600.0, 0.0, None, 1704153599.5])
    assert precedes_row(at, seconds).tolist() == [False, False, False, True]
