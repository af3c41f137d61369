"""The key index: exact for every key, also when all hashes collide."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.serving import row_index
from app.serving.row_index import KeyIndex

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@given(st.lists(texts, unique=True, max_size=50), st.lists(texts, max_size=120))
def test__find__any_keys__as_a_dictionary_would(keys: list[str], asked: list[str]) -> None:
    index = KeyIndex(pl.Series(keys, dtype=pl.String))
    wanted = [*asked, *keys]
    expected = {key: row for row, key in enumerate(keys)}
    assert index.find(wanted).tolist() == [expected.get(key, -1) for key in wanted]


@pytest.mark.parametrize("num_asked", [5, 500])
def test__find__every_hash_collides__texts_decide(monkeypatch: pytest.MonkeyPatch, num_asked: int) -> None:
    monkeypatch.setattr(row_index, "hash", lambda _: 7, raising=False)
    keys = [f"key-{number}" for number in range(20)]
    index = KeyIndex(pl.Series(keys))
    rows = np.arange(num_asked) % 25
    found = index.find([f"key-{row}" for row in rows])
    assert found.tolist() == [row if row < 20 else -1 for row in rows]


def test__find__nothing_asked_or_nothing_there__empty() -> None:
    assert KeyIndex(pl.Series(["a"])).find([]).tolist() == []
    assert KeyIndex(pl.Series([], dtype=pl.String)).find(["a", "a"]).tolist() == [-1, -1]
