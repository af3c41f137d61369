"""Small parts of the command line: files of rows, column words, what is shown, metrics."""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from app.commands.column_words import overrides_from, split_names
from app.commands.console import cell_text, clean, show_table
from app.commands.demo_story import free_name, name_from
from app.commands.metrics_table import control_line, leading_row, metric_rows, metric_text, promise_rows
from app.commands.openapi import openapi_text
from app.commands.row_files import read_objects, read_rows, typed, write_frame
from app.commands.targets import json_scalar
from app.schemas.base import NAME_PATTERN
from app.services.spreadsheets import guarded
from tests.app.commands.conftest import Run


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test__guard__any_text__is_no_formula_afterwards(text: str) -> None:
    value = guarded(pl.DataFrame({"a": [text]}))["a"].item()
    assert value.removeprefix("'") == text.removeprefix("'") or value == text
    is_number = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text) is not None
    assert value[:1] not in set("=+-@\t\r|%") - {""} or is_number or not value


def test__guard__formulas__are_text_and_numbers_stay() -> None:
    frame = pl.DataFrame({"=key": ["=1+1", "-5", "+49 30", "@a", "a", None], "n": [-1, 2, 3, 4, 5, 6]})
    out = guarded(frame)
    assert out.columns == ["'=key", "n"]
    assert out["'=key"].to_list() == ["'=1+1", "-5", "'+49 30", "'@a", "a", None]
    assert out["n"].to_list() == frame["n"].to_list()


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1", "2", None], [1, 2, None]),
        (["1.5", "-2", None], [1.5, -2.0, None]),
        (["true", "false"], [True, False]),
        (["007", "1"], ["007", "1"]),
        (["1", "a"], ["1", "a"]),
        (["1e5", "2"], [1e5, 2.0]),
        (["0.50", "1.0"], [0.5, 1.0]),
        (["9223372036854775808", "1"], [9223372036854775808.0, 1.0]),
        (["nan", "1"], ["nan", "1"]),
        ([None, None], [None, None]),
        (["True", "False"], ["True", "False"]),
    ],
)
def test__typed__column_of_text__becomes_what_every_value_is(
    texts: list[str | None], values: list[object]
) -> None:
    assert typed(pl.Series(texts, dtype=pl.String)).to_list() == values


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test__read_rows__csv__keeps_text_as_it_is(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes("﻿id_a_b\n01_x_\n02__é\n".replace("_", separator).encode())
    assert read_rows(path).to_dict(as_series=False) == {
        "id": ["01", "02"],
        "a": ["x", None],
        "b": [None, "é"],
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.parquet", b"nope"),
        ("a.json", b"{}"),
        ("a.json", b"[1]"),
        ("a.json", b"[{"),
        ("a.csv", b"\xff\xfe\x00\x01a,b\n"),
        ("a.csv", b""),
    ],
)
def test__read_rows__damaged_file__says_which_without_contents(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(typer.BadParameter, match=re.escape(name)):
        read_rows(path) if name.endswith("csv") or name.endswith("parquet") else read_objects(path)


def test__read_objects__json_and_lines__are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"x": 1}, {"y": null}]')
    (tmp_path / "a.jsonl").write_text('{"x": 1}\n\n{"y": null}\n')
    assert read_objects(tmp_path / "a.json") == read_objects(tmp_path / "a.jsonl") == [{"x": 1}, {"y": None}]
    assert read_objects(tmp_path / "a.csv") is None


def test__write_frame__that_fails__leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        write_frame(pl.DataFrame({"a": [float("nan")]}), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test__overrides__words__are_kinds_or_roles() -> None:
    assert overrides_from(["zip=categorical", "a=b=target", "age=continuous,weight"]) == {
        "zip": {"kind": "categorical"},
        "a=b": {"role": "target"},
        "age": {"kind": "continuous", "role": "weight"},
    }
    for wrong in ("zip", "=target", "zip=zebra"):
        with pytest.raises(typer.BadParameter):
            overrides_from([wrong])
    assert split_names(" a, b ,,c") == ("a", "b", "c")


@given(st.text(max_size=40))
def test__shown_text__any_input__cannot_steer_the_terminal(text: str) -> None:
    shown = clean(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", shown)
    in_cell = cell_text(text)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", in_cell)
    assert in_cell == shown or "Z" in shown or re.search(r"[\r\n]", text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (3, "3"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (1234567.0, "1,234,567"),
        (12345.6, "12,346"),
        (999.96, "1,000"),
        (1200, "1,200"),
        ("two\r\nlines", "two↵lines"),
        ({"report": {"auc": [0.5, None]}}, 'report: {"auc":[0.5,null]}'),
        ([{"a": 1}, 2], '{"a":1}, 2'),
        (["a", 1], "a, 1"),
        ({"n": 1}, "n: 1"),
        ("2026-11-21T03:44:46.685005Z", "2026-11-21 03:44:46Z"),
    ],
)
def test__cell__value__as_people_read_it(value: object, shown: str) -> None:
    assert cell_text(value) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [("Yes", "Yes"), ("1", 1), ("true", True), ('"1"', "1"), ("0.5", 0.5), ("null", "null"), ("[1]", "[1]")],
)
def test__positive__on_the_command_line__keeps_its_json_type(text: str, value: object) -> None:
    assert json_scalar(text) == value


@given(st.text(max_size=80))
def test__name_from__any_text__is_a_name(text: str) -> None:
    assert re.match(NAME_PATTERN, name_from(text))
    assert re.match(NAME_PATTERN, free_name(name_from(text), {name_from(text)}))


def test__free_name__taken_ones__get_the_first_free_number() -> None:
    assert free_name("a", set()) == "a"
    assert free_name("a", {"a", "a-2", "a-4"}) == "a-3"


def test__metrics__out_of_fold_and_holdout__stand_beside_their_baselines() -> None:
    metric = {"value": 0.875, "low": 0.8, "high": 0.95, "on": "out_of_fold"}
    held = {"auc": {**metric, "value": 0.9, "on": "holdout"}}
    head = {
        "metrics": {"log_loss": {"value": None}, "auc": metric, "holdout": held},
        "baselines": {"logistic": {"auc": metric, "holdout": held}, "lightgbm": {}},
    }
    rows = metric_rows(head)
    assert [(row.metric, row.on, row.head) for row in rows] == [
        ("log_loss", "", "–"),
        ("auc", "out of fold", "0.875 [0.8, 0.95]"),
        ("auc", "holdout", "0.9 [0.8, 0.95]"),
    ]
    assert rows[2].baselines == {"logistic": "0.9 [0.8, 0.95]", "lightgbm": "–"}
    leading = leading_row(head)
    assert leading is not None
    assert leading.on == "out of fold"
    assert leading_row({"metrics": None}) is None
    assert metric_text(None) == "–"
    assert metric_text({"value": 0.04, "low": None, "of_perfect": 0.031}) == "0.04 (perfect: 0.031)"


def test__promises__of_a_report__as_text() -> None:
    point = {"asked": 0.9, "found": 0.912, "low": 0.87, "high": 0.94}
    report = {"coverage": [point | {"mean_size": 1.25}, point | {"mean_width": 1234.0}]}
    assert promise_rows(report) == [
        ["90%", "0.912 [0.87, 0.94]", "1.25"],
        ["90%", "0.912 [0.87, 0.94]", "1.23e+03"],
    ]
    assert promise_rows({}) == []
    control = {"metric": "auc", "value": 0.51, "low": 0.45, "high": 0.57, "is_above_chance": False}
    told = control_line({"permutation_control": control})
    assert told == "control on permuted labels: auc 0.51 [0.45, 0.57], no better than chance"
    above = control_line({"permutation_control": control | {"is_above_chance": True}})
    assert above is not None
    assert "warnings" in above
    assert control_line({"permutation_control": {"reason": "time was short"}}) is None
    assert control_line({}) is None


def test__openapi__written_then_checked__is_current(run_alone: Run, tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    assert run_alone("openapi", "--check", str(path)).code == 1
    assert run_alone("openapi", "--write", str(path)).code == 0
    assert run_alone("openapi", "--check", str(path)).code == 0
    path.write_text(path.read_text().replace('"openapi"', '"openopi"', 1))
    assert run_alone("openapi", "--check", str(path)).code == 1
    assert io.StringIO(openapi_text()).readline() == "{\n"


def test__table__without_rows__says_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["job", "kind"], [])
    assert capsys.readouterr().out.strip() == "none"


def test__table__keys_of_digits__are_names(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["key", "rows"], [[12345, 12345]])
    out = capsys.readouterr().out
    assert "12345" in out
    assert "12,345" in out
