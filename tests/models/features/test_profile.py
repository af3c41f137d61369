from __future__ import annotations

import json

import polars as pl
import pytest

from models.features.kinds import infer_schema
from models.features.profile import profile_table
from models.features.schema import ColumnOverride, Role
from models.features.sentinels import numeric_sentinel


def _frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"k{i}" for i in range(200)],
            "city": ["Ulm", "Ulm ", "unknown", "Köln"] * 50,
            "level": [float(i % 40) if i % 10 else -200.0 for i in range(200)],
            "same": ["x"] * 200,
            "empty": pl.Series([None] * 200, dtype=pl.String),
            "mostly": pl.Series([1.5 if i == 5 else (2.5 if i == 6 else None) for i in range(200)]),
            "weight": [1.0 + i % 3 for i in range(200)],
        }
    )


def test__profile_table__counts_and_warnings__are_there() -> None:
    frame = _frame()
    profile = profile_table(frame, infer_schema(frame, {}))
    columns = profile["columns"]

    json.dumps(profile, allow_nan=False)
    assert profile["num_rows"] == 200
    assert columns["city"]["distinct"] == 4
    assert columns["city"]["top_values"][0]["count"] == 50
    assert any("blanks" in note for note in columns["city"]["warnings"])
    assert any("'unknown'" in note for note in columns["city"]["warnings"])
    assert any("-200" in note for note in columns["level"]["warnings"])
    assert columns["level"]["quantiles"]["0.5"] > 0
    assert any("One value" in note for note in columns["same"]["warnings"])
    assert any("No values" in note for note in columns["empty"]["warnings"])
    assert any("99.0%" in note for note in columns["mostly"]["warnings"])
    assert "top_values" not in columns["id"]
    roles = {(entry["column"], entry["role"]) for entry in profile["proposals"]}
    assert {("id", "key"), ("same", "drop"), ("empty", "drop"), ("weight", "weight")} <= roles


def test__profile_table__duplicates__are_counted_without_the_key() -> None:
    frame = pl.DataFrame({"id": range(6), "a": [1, 1, 2, 2, 2, 3], "b": list("xxyyzz")})
    plain = infer_schema(frame, {})
    keyed = infer_schema(frame, {"id": ColumnOverride(role=Role.KEY)})
    assert profile_table(frame, plain)["duplicates"] == 0
    assert profile_table(frame, keyed)["duplicates"] == 2


def test__profile_table__repeating_identifier__is_proposed_as_group() -> None:
    frame = pl.DataFrame(
        {"patient_id": [i // 2 * 7919 % 100_003 for i in range(200)], "x": [i / 3 for i in range(200)]}
    )
    profile = profile_table(frame, infer_schema(frame, {}))
    assert [(entry["column"], entry["role"]) for entry in profile["proposals"]] == [("patient_id", "group")]


@pytest.mark.parametrize(
    ("values", "sentinel"),
    [
        ([*range(50), *[-1] * 10], -1.0),
        ([*range(50), *[99999] * 10], 99999.0),
        ([*range(-50, 50), *[-1] * 10], None),
        ([*range(100), *[99] * 10], None),
        ([*range(50), -1], None),
        ([-1, 1] * 50, None),
    ],
)
def test__numeric_sentinel__made_up_extreme__is_noticed(values: list[int], sentinel: float | None) -> None:
    found = numeric_sentinel(pl.Series(values))
    assert (found.value if found else None) == sentinel
