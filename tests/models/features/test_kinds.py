from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from models.errors import SchemaError
from models.features.kinds import infer_kind, infer_schema
from models.features.schema import ColumnKind, ColumnOverride, Role

_N = 200


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("price", [i / 7 for i in range(_N)], "continuous"),  # an all-distinct float is never an identifier
        ("id", [i / 7 for i in range(_N)], "continuous"),
        ("age", [20 + i % 60 for i in range(_N)], "continuous"),
        (
            "amount",
            [(i * 7919) % 100_003 for i in range(_N)],
            "continuous",
        ),  # distinct, but neither named nor ordered
        ("flag", [i % 2 for i in range(_N)], "boolean"),
        ("flag", [float(i % 2) for i in range(_N)], "boolean"),
        ("flag", [i % 2 == 0 for i in range(_N)], "boolean"),
        ("win", [1 if i % 2 else -1 for i in range(_N)], "continuous"),
        ("instant", list(range(1, _N + 1)), "identifier"),
        ("customerID", [(i * 7919) % 100_003 for i in range(_N)], "identifier"),
        ("zipcode", [98_000 + i % 70 for i in range(_N)], "postal_code"),
        ("RatecodeID", [1 + i % 5 for i in range(_N)], "categorical"),
        ("nothing", [None] * _N, "constant"),
        ("same", ["x"] * _N, "constant"),
        ("same", [7] * _N, "constant"),
        ("sometimes", ["x", None] * (_N // 2), "categorical"),
        ("city", ["Berlin", "Köln", "Ulm"] * 60, "categorical"),
        ("code", [f"A-{i:05d}" for i in range(_N)], "identifier"),
        ("review", [f"this is a rather long review number {i}" for i in range(_N)], "text"),
        ("when", ["2024-01-05", "2024-02-06"] * 100, "datetime"),
        ("when", ["31-Jul-18", "1-Aug-18"] * 100, "datetime"),
        ("when", ["January 7, 2018", "May 30, 2018"] * 100, "datetime"),
        ("when", ["[29/Nov/2017:06:58:55", "[30/Nov/2017:06:58:55"] * 100, "datetime"),
        ("when", [dt.date(2024, 1, 1 + i % 28) for i in range(_N)], "datetime"),
        ("client", [f"10.0.{i % 256}.{i % 7}" for i in range(_N)], "ip_address"),
        ("client", ["::1", "2001:db8::2"] * 100, "ip_address"),
        ("Zip", [f"0{1900 + i % 90}" for i in range(_N)], "postal_code"),
        ("version", [f"1.{i % 9}.{i % 7}" for i in range(_N)], "categorical"),
        ("time", ["18.00.00", "19.00.00"] * 100, "categorical"),
    ],
)
def test__infer_kind__typical_column__has_its_kind(name: str, values: list[object], kind: str) -> None:
    dtype = pl.String if all(value is None for value in values) else None
    inferred = infer_kind(pl.Series(name, values, dtype=dtype))
    assert inferred.kind == kind
    assert inferred.evidence


def test__infer_kind__evidence__holds_no_cell_contents() -> None:
    column = pl.Series("c", [f"secret{i % 5}" for i in range(100)])
    assert "secret" not in infer_kind(column).evidence


def _frame() -> pl.DataFrame:
    return pl.DataFrame({"n": [1, 2, 3], "t": ["a", "b", "c"], "w": [1.0, 2.0, 3.0]})


def test__infer_schema__overrides__are_kept_with_their_source() -> None:
    schema = infer_schema(
        _frame(), {"n": ColumnOverride(kind=ColumnKind.CATEGORICAL), "t": ColumnOverride(role=Role.TARGET)}
    )
    assert schema["n"].kind is ColumnKind.CATEGORICAL
    assert schema["n"].kind_source == "override"
    assert schema["t"].role is Role.TARGET
    assert schema["t"].kind_source == "inferred"
    assert schema.names == ("n", "t", "w")


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"x": ColumnOverride(role=Role.DROP)}, "unknown_column"),
        ({"t": ColumnOverride(kind=ColumnKind.CONTINUOUS)}, "incompatible_kind"),
        ({"n": ColumnOverride(kind=ColumnKind.BOOLEAN)}, "incompatible_kind"),
        ({"w": ColumnOverride(kind=ColumnKind.DATETIME)}, "incompatible_kind"),
        ({"n": ColumnOverride(kind=ColumnKind.TEXT)}, "incompatible_kind"),
        (
            {"n": ColumnOverride(role=Role.GROUP), "t": ColumnOverride(role=Role.GROUP)},
            "too_many_columns_in_role",
        ),
        ({"t": ColumnOverride(role=Role.WEIGHT)}, "invalid_role"),
        ({name: ColumnOverride(role=Role.TARGET) for name in "ntw"}, "no_features"),
    ],
)
def test__infer_schema__what_does_not_fit__is_refused(
    overrides: dict[str, ColumnOverride], code: str
) -> None:
    with pytest.raises(SchemaError) as refused:
        infer_schema(_frame(), overrides)
    assert refused.value.code == code


def test__infer_schema__row_ids__are_no_columns() -> None:
    frame = _frame().with_columns(pl.Series("_row", [0, 1, 2]), pl.lit("train").alias("_split"))
    assert infer_schema(frame, {}).names == ("n", "t", "w")
