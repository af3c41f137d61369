from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from models.features.row_identity import row_identities

GOLDEN = [10928811187086450350, 9228554891615823225]
KEYS = st.lists(st.text(st.characters(codec="utf-8"), max_size=12), unique=True, max_size=30)


@given(KEYS)
def test__row_identities__of_different_keys__differ_and_do_not_depend_on_company(keys: list[str]) -> None:
    together = row_identities(pl.Series(keys, dtype=pl.String)).tolist()
    assert len(set(together)) == len(keys)
    assert together == [row_identities(pl.Series([key])).item() for key in keys]


def test__row_identities__of_the_same_ordinal_in_another_line_of_snapshots__differ() -> None:
    keys = pl.Series(["0", "1"])
    assert not set(row_identities(keys, "snp_1").tolist()) & set(row_identities(keys, "snp_2").tolist())
    assert not set(row_identities(keys, "snp_1").tolist()) & set(row_identities(keys).tolist())


def test__row_identities__of_a_version__are_what_they_were() -> None:
    # Stored with heads: a change makes old and new heads incomparable, and needs another version tag.
    assert row_identities(pl.Series(["k1", "ключ"]), "snp_1").tolist() == GOLDEN
