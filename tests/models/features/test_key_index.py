"""The key index: exact for every key, also when all hashes collide."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.features import snapshot
from models.features.snapshot import KeyIndex

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.lists(texts, unique=True, max_size=50), st.lists(texts, max_size=120))
def test__rows_of__any_keys__as_a_dictionary_would(keys: list[str], asked: list[str]) -> None:
    index = KeyIndex(pl.Series(keys, dtype=pl.String))
    wanted = [*asked, *keys]
    expected = {key: row for row, key in enumerate(keys)}
    assert index.rows_of(wanted).tolist() == [expected.get(key, -1) for key in wanted]


@pytest.mark.parametrize("num_asked", [5, 500])
def test__rows_of__every_hash_collides__texts_decide(monkeypatch: pytest.MonkeyPatch, num_asked: int) -> None:
    monkeypatch.setattr(snapshot, "hash", lambda _: 7, raising=False)
    index = KeyIndex(pl.Series([f"key-{number}" for number in range(20)]))
    asked = [number % 25 for number in range(num_asked)]
    found = index.rows_of([f"key-{number}" for number in asked])
    assert found.tolist() == [number if number < 20 else -1 for number in asked]


def test__rows_of__nothing_asked_or_nothing_there__empty() -> None:
    assert KeyIndex(pl.Series(["a"])).rows_of([]).tolist() == []
    assert KeyIndex(pl.Series([], dtype=pl.String)).rows_of(["a", "a"]).tolist() == [-1, -1]
