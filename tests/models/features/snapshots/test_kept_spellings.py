"""Levels that read like "no value" stay levels in the next snapshot, and values that go missing are noticed."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from models.features.drift import Severity
from models.features.ingestion import IngestSpec, ingest
from models.features.reading import SourceFile
from models.features.snapshot import Snapshot
from tests.models.features.snapshots.next_tables import COLUMNS, Line

LEVELS = ("None", "NA", "brick", None)


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """80 rows whose `fence` holds "None" and "NA" as values beside missing ones, and whose `street` holds neither."""
    frame = pl.DataFrame(
        {
            "id": [f"k{row:03}" for row in range(80)],
            "fence": [LEVELS[row % 4] for row in range(80)],
            "street": [("paved", "gravel")[row % 2] for row in range(80)],
            "area": [row + 0.5 for row in range(80)],
        }
    )
    made = Line(tmp_path, frame)
    path = tmp_path / "first.parquet"
    frame.write_parquet(path)
    made.report = ingest(
        [SourceFile(path, "first.parquet")],
        IngestSpec.model_validate({"columns": COLUMNS}),
        tmp_path / "parquet",
    )
    made.snapshot = Snapshot(tmp_path / "parquet" / "rows.parquet")
    return made


def fences(line: Line) -> dict[str, str | None]:
    return dict(line.frame.select("id", "fence").iter_rows())


@pytest.mark.parametrize("mode", ["upsert", "replace"])
def test__null_spelling__that_the_table_holds__is_that_value_in_a_csv(line: Line, mode: str) -> None:
    content = (
        b"id,fence,street,area\nk000,None,paved,1.5\nk001,NA,NA,2.5\nk002,,gravel,3.5\nk900,NULL,paved,4.5\n"
    )
    report = line.next(content, mode)
    found = fences(line)
    assert [found[key] for key in ("k000", "k001", "k002", "k900")] == ["None", "NA", None, None]
    assert line.frame.filter(id="k001")["street"].to_list() == [None]  # the table has no such street
    notes = [note for note in report.warnings if "taken as values" in note]
    assert len(notes) == 1
    assert all(part in notes[0] for part in ("'fence'", '1 "NA"', '1 "None"', "null_values"))


def test__null_spelling__that_the_file_also_quotes__is_told_by_the_quotes(line: Line) -> None:
    line.next(b'id,fence\nk000,"None"\nk004,None\nk001,NA\n', "upsert")
    found = fences(line)
    assert (found["k000"], found["k004"], found["k001"]) == ("None", None, "NA")


def test__null_spelling__that_the_caller_names__is_no_value(line: Line) -> None:
    report = line.next(b"id,fence\nk000,None\nk001,NA\n", "upsert", reading={"null_values": ["None"]})
    found = fences(line)
    assert (found["k000"], found["k001"]) == (None, "NA")
    assert not any("taken as values" in note for note in report.warnings)


def test__updated_rows__that_lose_values__are_a_finding(line: Line) -> None:
    few = line.next(b"id,street\nk000,\nk001,gravel\nk002,paved\n", "upsert")
    [found] = [one for one in few.drift["findings"] if one["what"] == "emptied"]
    assert found["severity"] == Severity.NOTICE.word
    assert "1 of 3 updated rows" in found["sentence"]
    rows = "".join(f"k{row:03},\n" for row in range(10, 40))
    many = line.next(f"id,street\n{rows}".encode(), "upsert")
    severities = {one["what"]: one["severity"] for one in many.drift["findings"]}
    assert severities["emptied"] == Severity.SEVERE.word
    assert many.drift["columns"]["street"]["emptied"] == 30


def test__updated_rows__that_keep_or_gain_values__are_none(line: Line) -> None:
    report = line.next(b"id,fence,street\nk003,brick,gravel\nk002,NA,paved\n", "upsert")
    assert not any(one["what"] == "emptied" for one in report.drift["findings"])
