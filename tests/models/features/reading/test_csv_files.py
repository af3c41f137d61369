"""Dialects, repairs and the typing of CSV columns."""

from __future__ import annotations

import codecs
import datetime as dt
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from models.errors import TableFormatError
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff
from models.features.reading.options import ENCODINGS


def _read(tmp_path: Path, text: str | bytes, name: str = "t.csv", **options: Any) -> RawTable:
    path = tmp_path / "upload"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, name, ReadOptions.model_validate(options), ReadLimits())


def _column(tmp_path: Path, *cells: str, **options: Any) -> pl.Series:
    text = "v;t\n" + "".join(f"{cell};x\n" for cell in cells)
    return _read(tmp_path, text, delimiter=";", **options).frame["v"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test__read_table__delimiter_and_line_end__are_detected(
    tmp_path: Path, delimiter: str, line_end: str
) -> None:
    rows = [
        ["name", "size", "note"],
        ["a", "1", "x y"],
        ["b", "2", "z, w" if delimiter != "," else "z"],
        ["c", "3", ""],
    ]
    table = _read(tmp_path, line_end.join(delimiter.join(row) for row in rows) + line_end)
    assert table.sniffed.delimiter == delimiter
    assert table.frame["size"].to_list() == [1, 2, 3]
    assert table.frame["note"].null_count() == 1


def test__sniff__cut_in_the_middle_of_a_record__tells_the_same_as_the_whole(tmp_path: Path) -> None:
    text = "id;price;note\n" + "".join(f'{i};{i},5;"é; ü"\n' for i in range(200))
    whole = sniff(text.encode(), "t.csv", ReadOptions(), ReadLimits(), is_whole_file=True)
    for cut in (100, 101, 102, 103, 104, 105):
        assert sniff(text.encode()[:cut], "t.csv", ReadOptions(), ReadLimits(), is_whole_file=False) == whole
    assert whole.decimal == ","
    assert whole.columns == ("id", "price", "note")


def test__read_table__no_header__names_columns_by_position(tmp_path: Path) -> None:
    table = _read(tmp_path, "1,a\n2,b\n", has_header=False)
    assert table.frame.columns == ["column_1", "column_2"]
    assert table.frame.height == 2
    assert table.line_of_row(0) == 1


def test__read_table__years_as_names__are_names(tmp_path: Path) -> None:
    text = "2019,2020,2021\n" + "".join(f"{i},{i + 1},{i + 2}\n" for i in range(10))
    assert _read(tmp_path, text).frame.columns == ["2019", "2020", "2021"]


def test__read_table__lines_before_the_header__are_skipped_when_asked(tmp_path: Path) -> None:
    table = _read(tmp_path, "Report of 2024\n\nname,size\na,1\nb,2\n", skip_lines=2)
    assert table.frame["size"].to_list() == [1, 2]
    assert table.line_of_row(1) == 5


def test__read_table__quoting_off__takes_quotes_as_text(tmp_path: Path) -> None:
    table = _read(tmp_path, 'name\tsize\n"a\t1\nb"\t2\n', quote="")
    assert table.frame["name"].to_list() == ['"a', 'b"']


def test__read_table__quotes_inside_bare_fields__are_text(tmp_path: Path) -> None:
    table = _read(tmp_path, 'part,note\npipe 5",x\nrod 3" long,"a, b"\n "q", y \n')
    assert table.frame["part"].to_list() == ['pipe 5"', 'rod 3" long', "q"]
    assert table.frame["note"].to_list() == ["x", "a, b", " y "]


def test__read_table__blank_lines_and_surplus_empty_cells__are_repaired_and_counted(tmp_path: Path) -> None:
    table = _read(tmp_path, "a,b\n\n1,x\n2,y,,\n,\n3,z,\n")
    assert table.frame.rows() == [(1, "x"), (2, "y"), (3, "z")]
    assert [table.line_of_row(row) for row in range(3)] == [3, 4, 6]
    assert any("2 empty lines" in note and "line 2" in note for note in table.warnings)
    assert any("2 rows had empty cells past" in note and "line 4" in note for note in table.warnings)


def test__read_table__spreadsheet_padding__is_left_out_and_counted(tmp_path: Path) -> None:
    table = _read(tmp_path, "a;b;;,,\n1,5;2;;\n2,5;3;;,\n;;;,,,\n")
    assert table.frame.rows() == [(1.5, 2), (2.5, 3)]
    assert any("2 empty trailing columns" in note for note in table.warnings)
    assert any("without any value" in note and "line 4" in note for note in table.warnings)


def test__read_table__ragged_rows_skipped_when_asked__are_counted(tmp_path: Path) -> None:
    table = _read(tmp_path, "a,b\n1,x\n2\n3,y,z\n4,w\n", ragged_rows="skip")
    assert table.frame["a"].to_list() == [1, 4]
    assert table.line_of_row(1) == 5
    assert any("2 rows with a wrong number of fields" in note and "line 3" in note for note in table.warnings)


@pytest.mark.parametrize(
    "cells",
    [
        ("01234", "5"), ("+5", "6"), ("1e5", "2"), ("1_000", "2"), ("0x10", "1"), ("1 000", "2"), ("9223372036854775808", "1"),
        ("12345678901234567890.5", "1.5"), ("9007199254740993.5", "1.5"), ("1.2.3", "4"), ("12%", "3"), ("١", "2"), ("$4", "5"), ("yes", "no"),
        ("true", "False"), ("2024-02-30", "2024-02-01"), ("2024-2-1", "2024-02-01"), ("01/02/2024", "03/04/2024"),
        ("2024-02-01T24:00:00", "2024-02-01T23:00:00"), ("2024-02-01T10:00:00+02:00", "2024-02-01T10:00:00+01:00"),
        ("2024-02-01T10:00:00Z", "2024-02-01T10:00:00"), ("2024-02-01", "2024-02-01T10:00:00"), ("00.5", "1.5"), ("5", "x"),
    ],
)  # fmt: skip
def test__read_table__cells_that_would_not_come_back__stay_text(
    tmp_path: Path, cells: tuple[str, ...]
) -> None:
    column = _column(tmp_path, *cells)
    assert column.dtype == pl.String
    assert column.to_list() == list(cells)


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (("0", "-5", "9223372036854775807"), pl.Int64, [0, -5, 2**63 - 1]),
        (("1.50", "2.00", "-3"), pl.Float64, [1.5, 2.0, -3.0]),
        ((".5", "-.5", "5."), pl.Float64, [0.5, -0.5, 5.0]),
        (("1.5e-07", "1E+05", "1e16", "2"), pl.Float64, [1.5e-07, 1e5, 1e16, 2.0]),
        ((" 5", "6 ", " "), pl.Int64, [5, 6, None]),
        (("true", "false", ""), pl.Boolean, [True, False, None]),
        (("TRUE", "TRUE"), pl.Boolean, [True, True]),
        (("2024-02-29", "NA"), pl.Date, [dt.date(2024, 2, 29), None]),
        (("2024-02-29T12:30", "2024-02-29T12:30"), pl.Datetime, [dt.datetime(2024, 2, 29, 12, 30)] * 2),
        (("2024-02-29 12:30:01", "2024-02-29 12:30:01.25"), pl.Datetime, [dt.datetime(2024, 2, 29, 12, 30, 1), dt.datetime(2024, 2, 29, 12, 30, 1, 250_000)]),
        (("2024-02-29T12:30:00Z",), pl.Datetime, [dt.datetime(2024, 2, 29, 12, 30)]),
        (("1.5", "inf", "-Infinity", "1e999", "nan"), pl.Float64, None),
    ],
)  # fmt: skip
def test__read_table__cells_that_come_back__are_typed(
    tmp_path: Path, cells: tuple[str, ...], dtype: type[pl.DataType], values: list[object] | None
) -> None:
    column = _column(tmp_path, *cells, decimal=".")
    if values is not None:
        assert column.dtype == dtype
        assert column.to_list() == values
    else:  # a bare 1e999 is no number as programs write it
        assert column.dtype == pl.String


def test__read_table__infinities_among_numbers__become_null_with_a_count(tmp_path: Path) -> None:
    table = _read(tmp_path, "v,t\n1.5,x\ninf,x\n-Infinity,x\n1.5e999,x\n")
    assert table.frame["v"].to_list() == [1.5, None, None, None]
    assert any("3 infinite values" in note for note in table.warnings)


def test__read_table__decimal_comma__is_detected_but_thousands_are_not_guessed(tmp_path: Path) -> None:
    table = _read(tmp_path, "price;amount;n\n1,5;1,234;7\n0,25;12,500;8\n")
    assert table.frame["price"].to_list() == [1.5, 0.25]
    assert table.frame["amount"].to_list() == ["1,234", "12,500"]
    assert any("'amount'" in note and "thousands" in note for note in table.warnings)

    stated = _read(tmp_path, "price;amount;n\n1,5;1,234;7\n0,25;12,500;8\n", decimal=",")
    assert stated.frame["amount"].to_list() == [1.234, 12.5]


def test__read_table__text_columns__keep_their_text(tmp_path: Path) -> None:
    table = _read(tmp_path, "code,n\n100,1\n200,2\n", text_columns=["code"])
    assert table.frame["code"].to_list() == ["100", "200"]


def test__read_table__own_null_spellings__replace_the_default_ones(tmp_path: Path) -> None:
    table = _read(tmp_path, "n,t\n-9,NA\n1,b\n,c\n", null_values=["-9"])
    assert table.frame["n"].to_list() == [None, 1, None]
    assert table.frame["t"].to_list() == ["NA", "b", "c"]


@pytest.mark.parametrize(
    "said",
    [{"delimiter": "ab"}, {"delimiter": '"'}, {"delimiter": ",", "decimal": ","}],
)
def test__read_options__senseless__are_refused(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReadOptions.model_validate(said)


@pytest.mark.parametrize(
    "name",
    ["klingon", "rot13", "idna", "punycode", "utf-7", "unicode_escape", "charmap", "utf-32", "mbcs", "a\0"],
)
def test__read_options__no_encoding_of_files__is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ValidationError, match="use utf-8") as refused:
        ReadOptions.model_validate({"encoding": name})
    assert refused.value.errors()[0]["type"] == "unsupported_encoding"


@pytest.mark.parametrize("name", sorted(ENCODINGS))
def test__read_table__every_encoding__reads_or_names_the_line(tmp_path: Path, name: str) -> None:
    assert ReadOptions(encoding=name).encoding == name == codecs.lookup(name).name
    path = tmp_path / "t.csv"
    path.write_bytes("name,n\nanna,1\nbert,2\n".encode(name))
    read = read_table(path, "t.csv", ReadOptions(encoding=name), ReadLimits()).frame
    assert read.rows() == [("anna", 1), ("bert", 2)]
    path.write_bytes("name,n\n".encode(name) + bytes(range(128, 256)) + ",1\n".encode(name))
    with suppress(TableFormatError):
        read_table(path, "t.csv", ReadOptions(encoding=name), ReadLimits())


@pytest.mark.parametrize("said", [{}, {"has_header": False}])
def test__read_table__unknown_text_column__is_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    with pytest.raises(TableFormatError, match="1 of the 2 names") as refused:
        _read(tmp_path, "code,n\n100,1\n", text_columns=["column_1" if said else "code", "Code"], **said)
    assert refused.value.code == "unknown_column"


def test__read_table__names__are_trimmed_and_may_be_any_words(tmp_path: Path) -> None:
    assert _read(tmp_path, " age ,ünï cöde,a/b\n1,2,3\n").frame.columns == ["age", "ünï cöde", "a/b"]


def test__read_table__one_column__is_read_with_a_warning(tmp_path: Path) -> None:
    table = _read(tmp_path, "value\n1\n2\n")
    assert table.frame["value"].to_list() == [1, 2]
    assert any("single column" in note for note in table.warnings)


def test__read_table__wide_file__reads(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(2_000))
    table = _read(tmp_path, names + "\n" + ",".join("1" for _ in range(2_000)) + "\n")
    assert table.frame.shape == (1, 2_000)


def test__read_table__backslash_quotes__are_refused_not_misread(tmp_path: Path) -> None:
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path, 'a,b\n"say \\"hi\\", now",1\n')
    assert refused.value.code in ("stray_quote", "ragged_row")


@pytest.mark.parametrize("decimal", [".", ","])
def test__null_values__that_are_numbers__hold_for_every_spelling_of_the_number(
    tmp_path: Path, decimal: str
) -> None:
    cells = ["-200", f"-200{decimal}0", f"-200{decimal}00", f"2{decimal}5", f"-200{decimal}5"]
    content = "n;t\n" + "".join(f"{cell};-200,0 a\n" for cell in cells)
    table = _read(tmp_path, content, null_values=["-200"], decimal=decimal)
    assert table.frame["n"].to_list() == [None, None, None, 2.5, -200.5]
    assert table.frame["t"].null_count() == 0


def test__null_values__that_are_numbers__are_text_in_a_text_column(tmp_path: Path) -> None:
    table = _read(tmp_path, "t\n-200.0\nb\n-200\n", null_values=["-200"])
    assert table.frame["t"].to_list() == ["-200.0", "b", None]
