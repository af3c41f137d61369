"""The generated table is the same everywhere and holds what the demo says it holds."""

from __future__ import annotations

import polars as pl
import pytest

from app.commands.demo_table import KEY, OUTCOMES, DemoTable, make_table


@pytest.fixture(scope="module")
def made() -> DemoTable:
    return make_table(4_000)


def test__table__same_arguments__same_rows(made: DemoTable) -> None:
    again = make_table(4_000)
    assert made.frame.equals(again.frame)
    assert made.spend.equals(again.spend)
    assert not make_table(4_000, seed=1).frame.equals(made.frame)


def test__table__keys__are_unique_and_shared_with_the_labels(made: DemoTable) -> None:
    assert made.frame[KEY].n_unique() == made.frame.height == 4_000
    assert made.frame[KEY].equals(made.spend["key"].alias(KEY))
    assert not set(OUTCOMES) - set(made.frame.columns)


def test__table__what_was_built_in__is_there(made: DemoTable) -> None:
    frame = made.frame
    assert 0.08 < (frame["churned"] == "yes").mean() < 0.25  # type: ignore[operator]
    shares = dict(frame["next_plan"].value_counts(normalize=True).iter_rows())
    assert 0.005 < min(shares.values()) < 0.04, "one class is rare"
    assert len(shares) == 4
    spend = made.spend["value"]
    assert spend.mean() > 1.3 * spend.median()  # type: ignore[operator]
    assert frame["country"].n_unique() == 1
    assert frame["postcode"].str.starts_with("0").all()
    assert 0.2 < frame["satisfaction"].null_count() / frame.height < 0.7


def test__cancel_reason__gives_the_outcome_away(made: DemoTable) -> None:
    leaks = made.frame.select((pl.col("cancel_reason").is_not_null() == (pl.col("churned") == "yes")).all())
    assert leaks.item()
