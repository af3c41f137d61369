"""Files as people really send them load right, cell by cell, or are refused with a line and a remedy that works.

`expected/` holds what each must come to; the files themselves are no part of the project: `DATA=dir` names a folder
with `messy/` in it.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import TableFormatError
from models.features.kinds import infer_schema
from models.features.moments import find_format, parse_format
from models.features.profile import profile_table
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff_file
from models.features.reading.options import NULL_SPELLINGS

pytestmark = pytest.mark.realdata

EXPECTED = [
    json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("expected/*.json"))
]
READS = [
    pytest.param(expected["file"], read, id=f"{expected['file']}-{json.dumps(read['options'])}")
    for expected in EXPECTED
    for read in expected["reads"]
]
# How a person would describe the file, for a plain reader that shares nothing with ours.
PLAIN = {
    "air_quality_semicolon_eurodecimal.csv": ("utf-8", ";"),
    "hr_bom_zip_dates.csv": ("utf-8-sig", ","),
    "amazon_alexa_bom_tab_freetext.tsv": ("utf-8-sig", "\t"),
    "aip_latin1_semicolon.csv": ("latin-1", ";"),
}  # fmt: skip


def messy(name: str) -> Path:
    path = Path(os.environ.get("DATA", "../shared/data")) / "messy" / name
    if not path.exists():
        pytest.skip("the messy files are not there: name a folder that has messy/ in it with DATA=dir")
    return path


def read(path: Path, said: dict[str, Any]) -> RawTable:
    return read_table(path, path.name, ReadOptions.model_validate(said), ReadLimits())


@pytest.mark.parametrize(("name", "expected"), READS)
def test__messy_file__comes_to_what_is_expected(name: str, expected: dict[str, Any]) -> None:
    path = messy(name)
    if "refused" in expected:
        options = ReadOptions.model_validate(expected["options"])
        reads: list[Callable[[], object]] = [lambda: read(path, expected["options"])]
        if expected["refused"]["line"] <= 2:  # the first MiB shows it
            reads.append(lambda: sniff_file(path, name, options, ReadLimits()))
        for attempt in reads:
            with pytest.raises(TableFormatError) as refused:
                attempt()
            error = refused.value
            assert (error.code, error.details["line"]) == (
                expected["refused"]["code"],
                expected["refused"]["line"],
            )
            assert expected["refused"]["remedy"] in error.message
        return
    table = read(path, expected["options"])
    assert table.frame.shape == (expected["rows"], expected["columns"])
    sniffed = table.sniffed
    assert [sniffed.delimiter, sniffed.encoding, sniffed.decimal] == [
        expected[key] for key in ("delimiter", "encoding", "decimal")
    ]
    assert list(table.warnings) == expected["warnings"]
    assert [[row, table.line_of_row(row)] for row, _ in expected["lines"]] == expected["lines"]
    for row, column, value in expected["cells"]:
        assert table.frame[column][row] == value
    schema = infer_schema(table.frame, {})
    assert {column: schema[column].kind.value for column in expected["kinds"]} == expected["kinds"]


@pytest.mark.parametrize(("name", "expected"), READS)
def test__messy_file__dates__are_the_moments_they_mean(name: str, expected: dict[str, Any]) -> None:
    path = messy(name)
    if not expected.get("moments"):
        return
    frame = read(path, expected["options"]).frame
    for row, column, text, moment in expected["moments"]:
        found = find_format(frame[column].drop_nulls())
        assert found is not None
        assert frame[column][row] == text
        assert parse_format(frame[column].slice(row, 1), found).to_list() == [
            dt.datetime.fromisoformat(moment)
        ]


@pytest.mark.parametrize(("name", "expected"), READS)
def test__messy_file__code_for_missing__is_pointed_out(name: str, expected: dict[str, Any]) -> None:
    path = messy(name)
    if "missing_codes" not in expected:
        return
    frame = read(path, expected["options"]).frame.select(*expected["missing_codes"])
    profile = profile_table(frame, infer_schema(frame, {}))
    for column, value in expected["missing_codes"].items():
        assert f"{value:g}, far from all other values" in json.dumps(profile["columns"][column])


@pytest.mark.parametrize("name", PLAIN)
def test__messy_file__every_cell__is_that_of_a_plain_reader(name: str) -> None:
    encoding, delimiter = PLAIN[name]
    table = read(messy(name), {})
    text = messy(name).read_bytes().decode(encoding)
    header, *records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    num_columns = table.frame.width
    assert [cell.strip() for cell in header[:num_columns]] == table.frame.columns
    rows = [record[:num_columns] for record in records if "".join(record).strip(";, ")]
    assert len(rows) == table.frame.height
    for position, column in enumerate(table.frame):
        for row, value in zip(rows, column.to_list(), strict=True):
            cell = row[position]
            if value is None:
                assert cell.strip() in NULL_SPELLINGS
            elif isinstance(value, str):
                assert value == cell
            else:
                assert float(cell.replace(",", ".")) == value
