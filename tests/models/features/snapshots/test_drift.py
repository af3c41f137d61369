"""The drift report: what moved is said with its severity, what chance explains is not, and no cell is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.errors import SchemaError
from models.features.distribution_shift import category_shift, numeric_shift, shares_differ, unseen_share
from tests.models.features.snapshots.next_tables import Line

COLUMNS = {"id": {"role": "key"}, "y": {"role": "target"}}


def drawn(seed: int, num_rows: int, start: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"k{start + row}" for row in range(num_rows)],
            "amount": draw.lognormal(size=num_rows).round(4),
            "count": draw.poisson(3.0, size=num_rows) + 0,
            "city": draw.choice(["Oslo", "Rome", "Lima", "Bonn"], p=[0.5, 0.3, 0.15, 0.05], size=num_rows),
            "rare": [f"word{value}" for value in draw.zipf(1.5, size=num_rows).clip(max=10_000)],
            "y": draw.choice(["yes", "no"], size=num_rows),
        }
    ).with_columns(amount=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise("amount"))


@pytest.mark.parametrize("num_rows", [5, 40, 400, 4_000])
def test__drift__of_rows_from_the_same_source__is_none(tmp_path: Path, num_rows: int) -> None:
    line = Line(tmp_path, drawn(1, 1_000), columns=COLUMNS)
    for seed in range(4):
        report = line.next(drawn(100 + seed, num_rows, 10_000 * (seed + 1)), "append").drift
        assert report["severity"] == "none", (seed, report["findings"])


@pytest.mark.parametrize(
    ("change", "what", "severity"),
    [
        ({"amount": pl.col("amount") * 1.5}, "distribution", "notice"),
        ({"amount": pl.col("amount") + 50}, "distribution", "severe"),
        ({"city": pl.col("city").replace({"Oslo": "Rome"})}, "distribution", "warning"),
        ({"city": pl.lit("Atlantis")}, "unseen", "severe"),
        ({"amount": pl.when(pl.int_range(pl.len()) % 2 == 0).then("amount")}, "missing", "warning"),
        ({"amount": pl.lit(None, pl.Float64)}, "missing", "severe"),
    ],
)
def test__drift__of_one_column__is_found_there_and_nowhere_else(
    tmp_path: Path, change: dict[str, pl.Expr], what: str, severity: str
) -> None:
    line = Line(tmp_path, drawn(1, 1_000), columns=COLUMNS)
    report = line.next(drawn(2, 600, 10_000).with_columns(**change), "append").drift
    (column,) = change
    found = {one["what"]: one["severity"] for one in report["findings"] if one["column"] == column}
    assert found[what] == severity, report["findings"]
    assert {one["column"] for one in report["findings"]} == {column}
    assert "Atlantis" not in json.dumps(report)


def test__drift__severe__is_refused_unless_accepted_and_leaves_nothing(tmp_path: Path) -> None:
    line = Line(tmp_path, drawn(1, 1_000), columns=COLUMNS)
    moved = drawn(2, 600, 10_000).with_columns(amount=pl.col("amount") + 50)
    with pytest.raises(SchemaError) as refused:
        line.next(moved, "append", accept_drift=False)
    assert refused.value.code == "drift_refused"
    assert refused.value.details["count"] == 1
    assert "'amount'" in refused.value.message
    assert refused.value.details["drift"]["severity"] == "severe"
    assert not list(tmp_path.rglob("next-*/rows.parquet"))


@pytest.mark.parametrize(
    ("mode", "lost", "severity"),
    [
        ("append", "amount", "severe"),
        ("replace", "amount", "severe"),
        ("append", "y", "notice"),
        ("replace", "y", "severe"),
    ],
)
def test__drift__lost_column__is_severe_where_something_needs_it(
    tmp_path: Path, mode: str, lost: str, severity: str
) -> None:
    line = Line(tmp_path, drawn(1, 600), columns=COLUMNS)
    report = line.next(drawn(2, 600, 10_000).drop(lost), mode).drift
    assert report["lost"] == [lost]
    assert report["severity"] == severity


def test__shift__of_equal_and_of_disjoint_values__are_the_ends_of_the_scale() -> None:
    numbers = pl.Series(np.arange(1_000) / 7)
    same, apart = numeric_shift(numbers, numbers, 1), numeric_shift(numbers, numbers + 1_000, 1)
    assert same is not None
    assert apart is not None
    assert (same.js, same.ks, same.is_significant) == (0.0, 0.0, False)
    assert apart.ks == 1.0
    assert apart.is_significant
    words = category_shift(pl.Series(["a"] * 50), pl.Series(["b"] * 50), 1)
    assert words is not None
    assert abs(words.js - 1.0) < 1e-12
    assert numeric_shift(numbers.head(29), numbers, 1) is None


def test__shift__of_the_same_source__alarms_no_more_often_than_it_says() -> None:
    draw = np.random.default_rng(0)
    alarms = 0
    for _ in range(400):
        num_rows = int(draw.integers(30, 2_000))
        before, after = (pl.Series(draw.choice(12, size=size)) for size in (1_000, num_rows))
        shift = category_shift(before, after, 1)
        assert shift is not None
        alarms += shift.is_significant
    assert alarms <= 14  # 1 % of 400 is 4; 14 and more has a chance below 1e-4


def test__unseen__new_values_of_a_long_tail__are_expected() -> None:
    draw = np.random.default_rng(3)
    before, after = (pl.Series(draw.zipf(1.3, size=size)) for size in (500, 500))
    share, is_more_than_chance = unseen_share(before, after)
    assert share > 0.1
    assert not is_more_than_chance
    assert unseen_share(before, pl.Series([], dtype=pl.Int64)) == (0.0, False)


def test__shares__differ__only_beyond_chance() -> None:
    assert not shares_differ((5, 100), (9, 100), 10)
    assert shares_differ((5, 100), (60, 100), 10)
    assert not shares_differ((0, 100), (1, 1), 10)
    assert not shares_differ((0, 0), (1, 1), 10)


def test__report__is_plain_json_with_every_figure(tmp_path: Path) -> None:
    line = Line(tmp_path, drawn(1, 300), columns=COLUMNS)
    report: dict[str, Any] = line.next(drawn(2, 300, 150), "upsert").drift
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["rows"] == {"before": 300, "incoming": 450, "after": 450}
    assert report["keys"] == {"shared": 300, "added": 150, "removed": 0}
    assert {"js", "psi", "ks", "missing_before", "missing_after"} <= report["columns"]["amount"].keys()
    assert "unseen_share" in report["columns"]["city"]
    assert "id" not in report["columns"]
