"""What a profile proposes: at most one kind or role per column, at most one column per single role."""

from __future__ import annotations

import datetime as dt

import polars as pl

from models.features.kinds import infer_schema
from models.features.profile import MIN_COUNT, profile_table
from models.features.schema import ColumnOverride, Role


def _proposed(frame: pl.DataFrame, **roles: Role) -> dict[str, str]:
    said = {name: ColumnOverride(role=role) for name, role in roles.items()}
    proposals = profile_table(frame, infer_schema(frame, said))["proposals"]
    assert len({one["column"] for one in proposals}) == len(proposals)
    assert all(one["reason"] for one in proposals)
    return {one["column"]: one.get("role") or one.get("kind") for one in proposals}


def test__proposals__two_keylike_columns__one_is_the_key() -> None:
    frame = pl.DataFrame(
        {"id": range(100), "uuid": [f"u{i}" for i in range(100)], "x": [i % 7 for i in range(100)]}
    )
    assert _proposed(frame) == {"id": "key", "uuid": "drop"}
    assert _proposed(frame, uuid=Role.KEY) == {"id": "drop"}


def test__proposals__columns_that_repeat_another__are_dropped_and_targets_never() -> None:
    values = [i * 7 % 11 / 2 for i in range(100)]
    frame = pl.DataFrame({"a": values, "b": values, "leak": ["x", "y"] * 50, "label": ["x", "y"] * 50})
    assert _proposed(frame, label=Role.TARGET) == {"b": "drop", "leak": "drop"}


def test__proposals__same_values_but_for_one_null__is_no_repetition() -> None:
    frame = pl.DataFrame({"a": [1.5, 2.5, None] * 20, "b": [1.5, 2.5, 3.5] * 20})
    assert _proposed(frame) == {}


def test__proposals__dates__the_only_complete_one_is_the_time() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i % 50) for i in range(100)]
    frame = pl.DataFrame({"signup": days, "dob": [day - dt.timedelta(days=9_999) for day in days]})
    assert _proposed(frame) == {"signup": "time"}
    assert _proposed(frame.with_columns(other=pl.Series(days[::-1]))) == {}
    assert _proposed(frame, dob=Role.TIME) == {}


def test__proposals__numbers_named_like_a_time__are_datetimes() -> None:
    frame = pl.DataFrame(
        {
            "created_at": [1_700_000_000 + i * 977 for i in range(100)],
            "order_day": [20240101 + i % 28 for i in range(100)],
            "amount": [1_700_000_000 + i * 977 % 5_000 for i in range(100)],
        }
    )
    assert _proposed(frame) == {"created_at": "datetime", "order_day": "datetime"}


def test__proposals__weights__only_where_positive_and_once() -> None:
    frame = pl.DataFrame(
        {name: [1.5 + i % 9 + n for i in range(90)] for n, name in enumerate(("fnlwgt", "survey_weight"))}
    )
    assert _proposed(frame) == {"fnlwgt": "weight"}
    assert _proposed(frame - 2.0) == {"survey_weight": "weight"}


def test__proposals__no_rows__are_none_that_fail() -> None:
    frame = pl.DataFrame({"id": [], "x": []}, schema={"id": pl.Int64, "x": pl.Float64})
    assert set(_proposed(frame).values()) <= {"drop"}


def test__profile__value_of_a_single_row__is_not_listed() -> None:
    frame = pl.DataFrame({"city": ["Oslo"] * 30 + ["Xanadu"] * (MIN_COUNT - 1)})
    listed = profile_table(frame, infer_schema(frame, {}))["columns"]["city"]["top_values"]
    assert [one["value"] for one in listed] == ["Oslo"]
