from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import RowError
from models.features.rows import RowsPlan, plan_of, rows_to_frame
from models.features.schema import ColumnKind, ColumnSchema, Role, TableSchema


def _column(name: str, kind: str, storage: str, role: Role = Role.FEATURE) -> ColumnSchema:
    return ColumnSchema.model_validate({"name": name, "kind": kind, "storage_type": storage, "role": role})


_SCHEMA = TableSchema(
    columns=(
        _column("text", "categorical", "string"),
        _column("int", "continuous", "integer"),
        _column("code", "categorical", "integer"),
        _column("float", "continuous", "float"),
        _column("bool", "boolean", "boolean"),
        _column("flag", "boolean", "integer"),
        _column("date", "datetime", "date"),
        _column("time", "datetime", "datetime"),
        _column("id", "identifier", "string", Role.KEY),
        _column("y", "categorical", "string", Role.TARGET),
    )
)
_FEATURES = ["text", "int", "code", "float", "bool", "flag", "date", "time"]


def _one(**row: Any) -> dict[str, Any]:
    return rows_to_frame([row], _SCHEMA, extra="refuse").frame.row(0, named=True)


@pytest.mark.parametrize(
    ("column", "sent", "stored"),
    [
        ("text", "a", "a"), ("text", 5, "5"), ("text", True, "true"), ("text", " ", None), ("text", "", None), ("text", "NA", "NA"),
        ("int", 5, 5), ("int", 5.0, 5), ("int", "5", 5), ("int", "-5", -5), ("int", "", None), ("int", "NA", None), ("int", 2**63 - 1, 2**63 - 1),
        ("int", 5.5, 5.5), ("int", "5.5", 5.5),
        ("float", 1.5, 1.5), ("float", 2, 2.0), ("float", "1.50", 1.5), ("float", "1e-07", 1e-07),
        ("bool", True, True), ("bool", "false", False), ("bool", 1, True), ("flag", True, 1), ("flag", 0, 0),
        ("date", "2024-02-29", dt.date(2024, 2, 29)), ("date", "2024-02-29T00:00:00", dt.date(2024, 2, 29)),
        ("time", "2024-02-29T12:30:00", dt.datetime(2024, 2, 29, 12, 30)), ("time", "2024-02-29T12:30:00+02:00", dt.datetime(2024, 2, 29, 10, 30)),
        ("time", "2024-02-29", dt.datetime(2024, 2, 29)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("num_rows", [1, 50])
def test__rows_to_frame__accepted_value__becomes_the_stored_cell(
    column: str, sent: object, stored: object, num_rows: int
) -> None:
    frame = rows_to_frame([{column: sent}] * num_rows, _SCHEMA, extra="refuse").frame
    assert frame.columns == _FEATURES
    assert frame[column].to_list() == [stored] * num_rows
    expected = {
        "text": pl.String,
        "int": pl.Float64 if isinstance(stored, float) else pl.Int64,
        "float": pl.Float64,
    }
    assert frame[column].dtype == expected.get(column, frame[column].dtype)


@pytest.mark.parametrize(
    ("column", "sent", "code"),
    [
        ("text", 1.5, "wrong_type"), ("text", ["a"], "wrong_type"), ("int", True, "wrong_type"), ("int", "05", "wrong_type"), ("int", "abc", "wrong_type"),
        ("int", 2**63, "out_of_range"), ("int", float("nan"), "not_finite"), ("int", {}, "wrong_type"), ("code", 1.5, "wrong_type"),
        ("float", True, "wrong_type"), ("float", float("inf"), "not_finite"), ("float", 10**400, "out_of_range"), ("float", "1,5", "wrong_type"), ("float", "1.5e999", "not_finite"),
        ("bool", 2, "wrong_type"), ("bool", "yes", "wrong_type"), ("date", "29.02.2024", "wrong_type"), ("date", 20240229, "wrong_type"), ("time", "noon", "wrong_type"),
    ],
)  # fmt: skip
def test__rows_to_frame__value_that_does_not_fit__is_refused_with_its_place(
    column: str, sent: object, code: str
) -> None:
    with pytest.raises(RowError) as refused:
        rows_to_frame([{}, {column: sent}], _SCHEMA, extra="refuse")
    assert refused.value.code == code
    assert refused.value.details["row"] == 1
    assert refused.value.details["column"] == column


def test__rows_to_frame__refusal__does_not_repeat_the_value() -> None:
    with pytest.raises(RowError) as refused:
        rows_to_frame([{"int": "secret"}], _SCHEMA, extra="refuse")
    assert "secret" not in refused.value.message + str(refused.value.details)


def test__rows_to_frame__names__follow_the_rule_for_extra_columns() -> None:
    assert _one(id="k", y="yes", int=1)["int"] == 1
    with pytest.raises(RowError) as refused:
        rows_to_frame([{"int": 1}, {"nope": 1, "int": 2}], _SCHEMA, extra="refuse")
    assert refused.value.code == "unknown_column"
    assert "'nope'" in refused.value.message
    assert rows_to_frame([{"nope": 1}], _SCHEMA, extra="ignore").frame.columns == _FEATURES
    assert rows_to_frame([{"nope": 1}], _SCHEMA, extra="refuse", ignored=["nope"]).frame.height == 1
    with pytest.raises(RowError):
        rows_to_frame(["text"], _SCHEMA, extra="ignore")  # type: ignore[list-item]


def test__rows_to_frame__missing__counts_encoded_columns_only() -> None:
    result = rows_to_frame([{"text": None, "int": 1}, {"float": 1.0, "int": ""}], _SCHEMA, extra="refuse")
    assert result.missing == {
        "text": 2,
        "int": 1,
        "code": 2,
        "float": 1,
        "bool": 2,
        "flag": 2,
        "date": 2,
        "time": 2,
    }


def test__rows_to_frame__no_rows__gives_an_empty_frame_of_the_types() -> None:
    frame = rows_to_frame([], _SCHEMA, extra="refuse").frame
    assert frame.shape == (0, 8)
    assert frame.schema["time"] == pl.Datetime("us")


_ROW = st.fixed_dictionaries(
    {},
    optional={
        "text": st.none() | st.text(max_size=5) | st.integers(),
        "int": st.none() | st.integers(-(2**63), 2**63 - 1),
        "float": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6),
        "bool": st.none() | st.booleans(),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_ROW, min_size=33, max_size=40))
def test__rows_to_frame__one_by_one_and_together__are_equal(rows: list[dict[str, object]]) -> None:
    together = rows_to_frame(rows, _SCHEMA, extra="refuse").frame
    alone = pl.concat([rows_to_frame([row], _SCHEMA, extra="refuse").frame for row in rows])
    assert together.equals(alone)


def test__plan_of__same_schema_object__is_compiled_once() -> None:
    assert plan_of(_SCHEMA) is plan_of(_SCHEMA)
    copy = _SCHEMA.model_copy()
    assert plan_of(copy) is not plan_of(_SCHEMA)
    for _ in range(300):
        plan_of(_SCHEMA.model_copy())
    assert plan_of(_SCHEMA).frame([{"int": 1}]).frame["int"].to_list() == [1]


def test__rows_plan__schema_without_features__gives_rows_without_columns() -> None:
    plan = RowsPlan(TableSchema(columns=(_column("id", "identifier", "string", Role.KEY),)))
    assert plan.frame([{"id": "a"}]).frame.height == 1


def test__rows_to_frame__kinds__are_all_stored_features() -> None:
    schema = TableSchema(
        columns=(_column("note", ColumnKind.IDENTIFIER, "string"), _column("x", "continuous", "float"))
    )
    result = rows_to_frame([{}], schema, extra="refuse")
    assert result.frame.columns == ["note", "x"]
    assert result.missing == {"x": 1}


def test__rows_to_frame__postal_code_stored_as_number__takes_text_with_leading_zeros() -> None:
    schema = TableSchema(columns=(_column("zip", ColumnKind.POSTAL_CODE, "integer"),))
    frame = rows_to_frame([{"zip": "01234"}, {"zip": 94110}, {"zip": " "}], schema).frame
    assert frame["zip"].to_list() == [1234, 94110, None]
    with pytest.raises(RowError, match="takes numbers"):
        rows_to_frame([{"zip": "K1A 0B1"}], schema)
