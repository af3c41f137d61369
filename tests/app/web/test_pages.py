"""Charts and words on what no table should hold and some do; wide tables; file names."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from app.commands.report import FileNotWritten, write_file
from app.schemas.tables import ProfileBody, SnapshotDetail, TableBody
from app.services.table_reports import TableReport
from app.web import charts
from app.web.table_page import MAX_COLUMNS, table_page
from app.web.words import label_text, name, number, number_text
from tests.app.web_pages import Page

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'&<>",
    "{{7*7}}",
    "x" * 10_000,
    "\u202eabc",
    "\x00\x0b\ud800\uffff",
    "",
]
NUMBERS = [0.0, -0.0, 1e308, -1e308, 5e-324, 1.0, 12_345.678]


@pytest.mark.parametrize("text", HOSTILE)
def test__charts__hostile_labels_and_extreme_numbers__are_well_formed_and_short(text: str) -> None:
    rows = [charts.IntervalRow(text, value, -1e308, 1e308, is_main=True) for value in NUMBERS]
    points = [(x, y) for x in NUMBERS for y in NUMBERS]
    pictures = [
        charts.intervals(text, text, rows, 0.5),
        charts.bars(text, text, [(text, value, value) for value in NUMBERS]),
        charts.calibration(text, text, [(0.0, 1.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0)]),
        charts.scatter(text, text, points, x_label=text, y_label=text, guide="diagonal"),
        charts.scatter(text, text, [(1.0, 1.0)], x_label="x", y_label="y", guide="zero"),
        charts.curve(text, text, points, x_label="x", y_label="y"),
        charts.spread(text, [-1e308, 0.0, 0.0, 0.0, 1e308]),
        charts.shares(text, [0.5, 0.5]),
    ]
    for picture in pictures:
        root = ElementTree.fromstring(picture.encode())
        assert root[0].tag.endswith("title")
        assert "script" not in {node.tag.rpartition("}")[2] for node in root.iter()}
        assert "nan" not in picture.lower().replace(text.lower(), "")


def test__charts__nothing_to_show__are_empty() -> None:
    assert charts.bars("a", "b", []) == ""
    assert charts.intervals("a", "b", [charts.IntervalRow("x", None, None, None)]) == ""
    assert charts.scatter("a", "b", [], x_label="x", y_label="y", guide="zero") == ""
    assert charts.curve("a", "b", [(0.0, 1.0)], x_label="x", y_label="y") == ""


def test__number__exact_value_stays_behind_the_rounded_one() -> None:
    assert number(0.123456789) == '<data value="0.123456789">0.1235</data>'
    assert number_text(-0.0) == number_text(-0.0, signed=True) == "0"
    assert number(None) == number_text(float("nan")) == "–"
    assert number_text(1234567) == "1,234,567"
    assert [label_text(value) for value in (True, "true", None, 1)] == ["true", "true", "null", "1"]
    assert name("<b>") == "<bdi>&lt;b&gt;</bdi>"


def wide_report(num_columns: int) -> TableReport:
    columns: dict[str, dict[str, Any]] = {
        f"{HOSTILE[column % len(HOSTILE)]}{column}": {
            "kind": "categorical",
            "role": "feature",
            "nulls": 0,
            "distinct": 10,
            "count": 100,
            "evidence": "y" * 200,
            "top_values": [{"value": HOSTILE[0] * 3, "count": 10}] * 10,
            "warnings": ["z" * 300],
        }
        for column in range(num_columns)
    }
    snapshot: dict[str, Any] = {
        "id": "snap", "version": 1, "num_rows": 100, "num_bytes": 1, "as_of": NOW, "created_at": NOW
    }  # fmt: skip
    table = TableBody.model_validate(
        {"name": "wide", "id": "t", "status": "ready", "created_at": NOW, "schema_version": 1, "columns": [],
         "snapshot": None, "active_encoder": None, "targets": [], "settings": {}}
    )  # fmt: skip
    profile = ProfileBody(
        table="wide", snapshot=1, schema_version=1, num_rows=100, columns=columns, warnings=[]
    )
    current = SnapshotDetail.model_validate({**snapshot, "profile": "/"})
    return TableReport(table, profile, [], [current], False, current, None, [], 0)


def test__table_page__2_000_columns__is_cut_short_and_says_so() -> None:
    text = table_page(wide_report(2_000))
    assert len(text.encode()) < 5 * 1024 * 1024
    page = Page(text)
    assert f"and {2_000 - MAX_COLUMNS:,} more columns" in page.text


def test__write_file__there_already__is_kept_unless_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    write_file(path, b"one", replace=False)
    with pytest.raises(FileNotWritten, match="--force"):
        write_file(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    write_file(path, b"three", replace=True)
    assert path.read_bytes() == b"three"
    with pytest.raises(FileNotWritten):
        write_file(tmp_path / "no" / "r.html", b"x", replace=True)
    assert [found.name for found in tmp_path.iterdir()] == ["r.html"]
