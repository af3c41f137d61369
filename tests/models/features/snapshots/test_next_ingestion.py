"""The next snapshot of a table: merged rows, kept sides, kinds, roles and types."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.errors import SchemaError
from models.features.schema import ColumnKind
from tests.models.features.snapshots.next_tables import Line

ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.integers(0, 5)),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[0],
)
PROPERTY = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[
        phase for phase in Phase if phase is not Phase.explain
    ],  # an example takes files: explaining takes minutes
)


def table(rows: list[tuple[int, str, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [f"k{row[0]}" for row in rows],
            "letter": [row[1] for row in rows],
            "number": [row[2] + 0.5 for row in rows],
        }
    )


def numbered(num_rows: int, start: int = 0, **columns: Any) -> pl.DataFrame:
    rows = range(start, start + num_rows)
    return pl.DataFrame(
        {
            "id": [f"k{row:06}" for row in rows],
            "x": [row * 0.25 + 0.1 for row in rows],
            "c": [("red", "green", "blue")[row % 3] for row in rows],
            **columns,
        }
    )


@PROPERTY
@given(ROWS, ROWS)
def test__upsert__twice__is_once_and_agrees_with_a_dictionary(
    tmp_path: Path, first: list[tuple[int, str, int]], second: list[tuple[int, str, int]]
) -> None:
    line = Line(tmp_path, table(first), evaluation_fraction=0.4)
    before = line.sides
    changes = line.next(table(second), "upsert").changes
    once = line.frame
    expected = {f"k{row[0]}": row for row in first} | {f"k{row[0]}": row for row in second}
    assert once["_key"].to_list() == list(expected)
    assert once["letter"].to_list() == [row[1] for row in expected.values()]
    assert once["number"].to_list() == [row[2] + 0.5 for row in expected.values()]
    assert once["_row"].to_list() == list(range(len(expected)))
    assert all(line.sides[key] == side for key, side in before.items())
    assert changes.added == len(expected) - len(first)
    assert changes.added + changes.updated + changes.unchanged == len(expected)
    again = line.next(table(second), "upsert").changes
    assert line.frame.equals(once)
    assert (again.added, again.updated, again.unchanged) == (0, 0, len(expected))


@PROPERTY
@given(ROWS, ROWS)
def test__append_and_replace__keep_sides_and_order(
    tmp_path: Path, first: list[tuple[int, str, int]], second: list[tuple[int, str, int]]
) -> None:
    line = Line(tmp_path, table(first), evaluation_fraction=0.4)
    kept = line.sides
    changes = line.next(table(second), "append", on_conflict="keep").changes
    known = {f"k{row[0]}" for row in first}
    fresh = [f"k{row[0]}" for row in second if f"k{row[0]}" not in known]
    assert line.frame["_key"].to_list() == [f"k{row[0]}" for row in first] + fresh
    assert line.frame["letter"].to_list()[: len(first)] == [row[1] for row in first]
    assert changes.kept == len(second) - len(fresh)
    assert all(line.sides[key] == side for key, side in kept.items())
    sides = line.sides
    changes = line.next(table(second), "replace").changes
    assert line.frame["_key"].to_list() == [f"k{row[0]}" for row in second]
    assert all(sides[key] == side for key, side in line.sides.items())
    assert changes.removed == len(known - {f"k{row[0]}" for row in second})


@PROPERTY
@given(ROWS, ROWS)
def test__append__in_two_files__is_append_in_one(
    tmp_path: Path, first: list[tuple[int, str, int]], more: list[tuple[int, str, int]]
) -> None:
    """Sides of new rows do not depend on what they arrive with (but for copies of rows that were there)."""
    rows = [(row[0] + 100, row[1], row[2]) for row in more]
    half = len(rows) // 2
    parts, whole = Line(tmp_path, table(first)), Line(tmp_path, table(first))
    for part in (rows[:half], rows[half:]):
        if part:
            parts.next(table(part), "append")
    whole.next(table(rows), "append")
    columns = ["_row", "_key", "id", "letter", "number"]
    assert parts.frame.select(columns).equals(whole.frame.select(columns))


def test__append__existing_keys__are_refused_with_count_and_line(tmp_path: Path) -> None:
    line = Line(tmp_path, numbered(40))
    with pytest.raises(SchemaError) as refused:
        line.next(numbered(10, 38), "append")
    assert refused.value.code == "key_exists"
    assert (refused.value.details["count"], refused.value.details["line"]) == (2, 2)
    assert "k0000" not in refused.value.message
    assert line.frame.height == 40


@pytest.mark.parametrize(
    ("columns", "mode", "on_conflict", "code"),
    [
        ({}, "upsert", None, "no_key_column"),
        ({}, "append", "keep", "conflict_not_applicable"),
        ({"id": {"role": "key"}}, "replace", "update", "conflict_not_applicable"),
    ],
)
def test__mode__that_does_not_fit_the_table__is_refused(
    tmp_path: Path, columns: dict[str, Any], mode: str, on_conflict: str | None, code: str
) -> None:
    line = Line(tmp_path, numbered(30), columns=columns)
    with pytest.raises(SchemaError) as refused:
        line.next(numbered(5, 100), mode, on_conflict=on_conflict)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"x,c\n1,red\n", "missing_key_column"),
        (b"id,x\nk1,1\nk1,2\n", "duplicate_key"),
        (b"id,x\nk1,1\n,2\n", "null_key"),
        (b"a,b\n1,2\n", "missing_key_column"),
        (b"id,x\n2024-01-01,1\n2024-01-02,2\n", None),  # the table's keys are text: dates are read as text
    ],
)
def test__keys__of_the_file__are_checked_as_at_registration(
    tmp_path: Path, content: bytes, code: str | None
) -> None:
    line = Line(tmp_path, numbered(30))
    if code is None:
        line.next(content, "upsert")
        assert line.frame["_key"].to_list()[-1] == "2024-01-02"
        return
    with pytest.raises(SchemaError) as refused:
        line.next(content, "upsert")
    assert refused.value.code == code


def test__keys__with_leading_zeros__stay_text_where_the_file_has_digits_only(tmp_path: Path) -> None:
    line = Line(tmp_path, b"id,x\n" + b"".join(b"%05d,%d.5\n" % (row, row) for row in range(9, 30)))
    line.next(b"id,x\n12345,1.5\n00010,7.25\n", "upsert")
    assert line.frame["_key"].to_list()[-1] == "12345"
    assert line.frame.filter(pl.col("_key") == "00010")["x"].to_list() == [7.25]
    assert line.frame.height == 22


def test__update__from_a_file_with_fewer_columns__leaves_the_others(tmp_path: Path) -> None:
    line = Line(tmp_path, numbered(30))
    line.next(b"id,x\nk000003,9.5\nk999999,1.5\n", "upsert")
    changed = line.frame.filter(pl.col("_key") == "k000003")
    assert (changed["x"].item(), changed["c"].item()) == (9.5, "red")
    assert line.frame["c"].to_list()[-1] is None


def test__table_without_a_key__append_goes_on_counting_and_keeps_duplicates(tmp_path: Path) -> None:
    line = Line(tmp_path, numbered(30).drop("id"), columns={}, evaluation_fraction=0.5)
    before = line.frame
    line.next(numbered(30).drop("id"), "append")
    assert line.frame["_key"].to_list() == [str(row) for row in range(60)]
    assert line.frame["_split"].to_list() == before["_split"].to_list() * 2
    replaced = line.next(numbered(20, 10).drop("id"), "replace")
    assert (replaced.changes.removed, replaced.changes.unchanged, replaced.changes.added) == (40, 20, 0)
    assert line.frame["_split"].to_list() == before["_split"].to_list()[10:]
    assert any("number" in warning for warning in replaced.warnings) is True


def test__dropped_column__stays_dropped_and_leaves_no_trace(tmp_path: Path) -> None:
    secret: dict[str, Any] = {"ssn": [f"secret-{row}" for row in range(30)]}
    line = Line(tmp_path, numbered(30, **secret), columns={"id": {"role": "key"}, "ssn": {"role": "drop"}})
    report = line.next(numbered(30, 100, **secret), "append")
    assert "ssn" not in line.frame.columns
    assert "ssn" not in report.model_dump_json(exclude={"dropped"})
    line.next(numbered(30, 200, **secret), "append", columns={"x": {"role": "drop"}})
    assert line.frame.columns == ["_row", "_key", "_split", "id", "c"]


def test__columns__new_lost_and_widened__follow_the_rules(tmp_path: Path) -> None:
    line = Line(tmp_path, numbered(60, n=list(range(0, 120, 2))))
    assert line.report.table_schema["n"].storage_type == "integer"
    more = numbered(
        40, 100, n=[f"{row}b" if row else "7" for row in range(40)], late=[row % 4 for row in range(40)]
    )
    report = line.next(more.drop("c"), "append")
    assert report.table_schema.names == ("id", "x", "c", "n", "late")
    assert report.table_schema["n"].storage_type == "string"
    assert line.frame["n"].to_list()[:2] == ["0", "2"]
    assert line.frame["c"].to_list()[60:] == [None] * 40
    assert line.frame["late"].to_list()[:60] == [None] * 60
    assert report.drift["retyped"] == [{"column": "n", "from": "integer", "to": "string"}]
    assert (report.drift["added"], report.drift["lost"]) == (["late"], ["c"])
    assert report.drift["severity"] == "severe"


@pytest.mark.parametrize(
    ("old", "new", "storage"),
    [
        (["1", "2"], ["1.5", "2.5"], "float"),
        (["9007199254740993", "2"], ["1.5", "2.5"], "string"),
        (["1.5", "2.5"], ["1", "2"], "float"),
        (["2024-01-01", "2024-01-02"], ["2024-01-01 10:00:00", "2024-01-02 11:30:00"], "datetime"),
        (["true", "false"], ["1", "2"], "string"),
        (["1", "2"], ["", ""], "integer"),
        (["", ""], ["1", "2"], "integer"),
        (["abc", "01"], ["1", "2"], "string"),
    ],
)
def test__append__of_another_type__widens_without_loss(
    tmp_path: Path, old: list[str], new: list[str], storage: str
) -> None:
    def content(cells: list[str], start: int) -> bytes:
        rows = "".join(f"k{start + row},{cells[row % 2]},{row}\n" for row in range(10))
        return f"id,v,x\n{rows}".encode()

    line = Line(tmp_path, content(old, 0))
    line.next(content(new, 100), "append")
    assert line.report.table_schema["v"].storage_type == storage
    assert line.frame["v"].null_count() == 10 * ((old == ["", ""]) + (new == ["", ""]))
    if storage == "string":
        assert line.frame["v"].to_list()[:2] == old


def test__kinds_and_roles__said_before__stay(tmp_path: Path) -> None:
    said = {"id": {"role": "key"}, "n": {"kind": "categorical"}, "c": {"role": "target"}}
    line = Line(tmp_path, numbered(60, n=list(range(60)), flat=[1] * 60, flag=[0, 1] * 30), columns=said)
    assert line.report.table_schema["flat"].kind is ColumnKind.CONSTANT
    more = numbered(60, 100, n=list(range(60)), flat=list(range(60)), flag=[0, 1, 2] * 20)
    schema = line.next(more, "append").table_schema
    assert (schema["n"].kind, schema["n"].kind_source) == (ColumnKind.CATEGORICAL, "override")
    assert schema["c"].role == "target"
    assert schema["flat"].kind is ColumnKind.CONTINUOUS
    assert schema["flag"].kind is ColumnKind.CONTINUOUS
    assert schema["x"] == line.report.table_schema["x"]


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({"x": {"role": "key"}}, "role_is_fixed"),
        ({"id": {"role": "feature"}}, "role_is_fixed"),
        ({"id": {"role": "drop"}}, "role_is_fixed"),
        ({"nobody": {"role": "drop"}}, "unknown_column"),
        ({"x": {"role": "drop"}, "c": {"role": "drop"}}, "no_features"),
    ],
)
def test__overrides__that_cannot_be__are_refused(tmp_path: Path, columns: dict[str, Any], code: str) -> None:
    line = Line(tmp_path, numbered(30))
    with pytest.raises(SchemaError) as refused:
        line.next(numbered(5, 100), "append", columns=columns)
    assert refused.value.code == code


def test__upsert__of_200_000_rows__takes_seconds(tmp_path: Path) -> None:
    line = Line(tmp_path, numbered(200_000))
    began_at = time.process_time()  # not the wall: other tests run beside it
    changes = line.next(numbered(200_000, 100_000, extra=[1.5, 2.5] * 100_000), "upsert").changes
    assert time.process_time() - began_at < 10
    assert (changes.added, changes.updated + changes.unchanged) == (100_000, 200_000)
