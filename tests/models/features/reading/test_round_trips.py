"""What is written as CSV comes back as it was, whatever the delimiter, quoting, encoding and line ends."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from models.errors import TableFormatError
from models.features.reading import ReadLimits, ReadOptions, read_table
from models.features.reading.encodings import Encoding, utf8_chunks
from models.features.reading.options import NULL_SPELLINGS
from models.features.reading.quoting import regular_quotes
from models.features.reading.records import IrregularQuotes, RecordScanner

_FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_TEXT = st.text(
    st.one_of(st.sampled_from(list(",;|\t\"' \n\r-.aé0\u20ac\ufeff")), st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    max_size=12,
)  # fmt: skip
# A column that is surely text, so that the cells come back as they are.
_CELLS = st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=12)


def _read(path: Path, data: bytes, **options: object) -> pl.DataFrame:
    path.write_bytes(data)
    return read_table(path, "table.csv", ReadOptions.model_validate(options), ReadLimits()).frame


def _as_read(cell: str) -> str | None:
    return None if not cell.strip(" \t\u00a0") else cell


@_FEW
@given(
    rows=_CELLS,
    delimiter=st.sampled_from(",;\t|"),
    line_end=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    final_newline=st.booleans(),
)
@example(rows=[("\ufeffa", "b")], delimiter=",", line_end="\n", bom=False, final_newline=True)
@example(rows=[("a\r", "\n"), ('"', '""')], delimiter=";", line_end="\r\n", bom=True, final_newline=False)
def test__read_table__quoted_text_of_any_kind__comes_back_as_it_was(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str, line_end: str, bom: bool, final_newline: bool
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow(["first", "second"])
    writer.writerows(rows)
    text = buffer.getvalue() if final_newline else buffer.getvalue().removesuffix(line_end)
    data = text.encode("utf-8-sig" if bom else "utf-8")

    frame = _read(tmp_path / "t.csv", data, delimiter=delimiter, text_columns=("first", "second"))

    assert frame.columns == ["first", "second"]
    expected = [tuple(map(_as_read, row)) for row in rows]
    assert frame.rows() == expected


@_FEW
@given(rows=_CELLS, delimiter=st.sampled_from(",;\t|"))
def test__read_table__minimal_quoting__comes_back_as_it_was(
    tmp_path: Path, rows: list[tuple[str, str]], delimiter: str
) -> None:
    cells = [cell for row in rows for cell in row]
    assume(not any("\r" in cell for cell in cells))  # Python's writer leaves a lone \r unquoted
    assume(not any(cell in NULL_SPELLINGS for cell in cells if cell))
    rows = [row for row in rows if any(row)]  # a line of delimiters alone is a blank line
    assume(rows)
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(["first", "second"])
    writer.writerows(rows)

    frame = _read(
        tmp_path / "t.csv", buffer.getvalue().encode(), delimiter=delimiter, text_columns=("first", "second")
    )

    assert frame.rows() == [tuple(map(_as_read, row)) for row in rows]


@_FEW
@given(rows=_CELLS, encoding=st.sampled_from(["utf-16", "utf-16-le", "utf-8-sig"]))
def test__read_table__unicode_encodings__read_alike(
    tmp_path: Path, rows: list[tuple[str, str]], encoding: str
) -> None:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([("first", "second"), *rows])
    said = {"delimiter": ",", "text_columns": ("first", "second")}
    plain = _read(tmp_path / "plain.csv", buffer.getvalue().encode(), **said)
    stated = {"encoding": "utf-16-le"} if encoding == "utf-16-le" else {}

    frame = _read(tmp_path / "t.csv", buffer.getvalue().encode(encoding), **said, **stated)

    assert frame.equals(plain)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test__read_table__western_bytes__are_detected_with_a_warning(tmp_path: Path, encoding: str) -> None:
    lines = ["stad;antal", "Malmö;1", "Göteborg;2", "Åre;3", "Skellefteå;4", "Östersund;5"]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(lines).encode(encoding))

    table = read_table(path, "t.csv", ReadOptions(), ReadLimits())

    assert table.frame["stad"].to_list() == [line.split(";")[0] for line in lines[1:]]
    assert any("not UTF-8" in note for note in table.warnings)


def test__read_table__accents_only_after_the_first_mib__are_detected(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    body = "".join(f"{i},plain ascii text to fill the sample\n" for i in range(40_000))
    path.write_bytes(
        b"n,name\n"
        + body.encode()
        + "1,déjà vu à la carte, très bien\n".replace(", t", " t").encode("cp1252")
    )

    frame = read_table(path, "t.csv", ReadOptions(), ReadLimits()).frame

    assert frame["name"][-1] == "déjà vu à la carte très bien"


def test__read_table__cyrillic_bytes__are_refused_rather_than_guessed(tmp_path: Path) -> None:
    text = "имя;город\n" + "Иван Петров;Москва\nАнна Смирнова;Санкт-Петербург\n" * 20
    with pytest.raises(TableFormatError) as refused:
        _read(tmp_path / "t.csv", text.encode("cp1251"))
    assert refused.value.code == "unsupported_encoding"

    assert _read(tmp_path / "t.csv", text.encode("cp1251"), encoding="cp1251")["город"][0] == "Москва"


@_FEW
@given(values=st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=2, max_size=20))
def test__read_table__64_bit_integers__are_exact(tmp_path: Path, values: list[int | None]) -> None:
    assume(any(value is not None for value in values))
    body = "".join(f"{'' if value is None else value},x\n" for value in values)

    frame = _read(tmp_path / "t.csv", f"n,t\n{body}".encode(), has_header=True, delimiter=",")

    assert frame["n"].dtype == pl.Int64
    assert frame["n"].to_list() == values


@_FEW
@given(
    values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    decimal=st.sampled_from([".", ","]),
)
def test__read_table__doubles_as_python_writes_them__are_bitwise_equal(
    tmp_path: Path, values: list[float], decimal: str
) -> None:
    body = "".join(f"{value!r};x\n".replace(".", decimal) for value in values)

    frame = _read(tmp_path / "t.csv", f"v;t\n{body}".encode(), delimiter=";", decimal=decimal)

    assert frame["v"].dtype == pl.Float64
    assert frame["v"].to_list() == values


@_FEW
@given(
    frame=st.lists(
        st.tuples(
            st.integers(-(2**62), 2**62),
            st.floats(allow_nan=False, allow_infinity=False, width=64),
            st.booleans(),
            st.dates(min_value=dt.date(1, 1, 1)),
            st.datetimes(min_value=dt.datetime(1000, 1, 1)),
        ),
        min_size=1, max_size=10,
    )
)  # fmt: skip
def test__read_table__csv_written_by_polars__keeps_types_and_values(
    tmp_path: Path, frame: list[tuple[object, ...]]
) -> None:
    schema = {"i": pl.Int64(), "f": pl.Float64(), "b": pl.Boolean(), "d": pl.Date(), "t": pl.Datetime("us")}
    written = pl.DataFrame(frame, schema=schema, orient="row")

    read = _read(tmp_path / "t.csv", written.write_csv().encode(), delimiter=",")

    whole = written.with_columns(pl.col("f").cast(pl.Float64))
    assert read.with_columns(pl.col("f").cast(pl.Float64)).equals(whole)


@pytest.mark.parametrize("spelling", [spelling for spelling in NULL_SPELLINGS if spelling])
def test__read_table__null_spelling__is_null_bare_and_a_level_quoted(tmp_path: Path, spelling: str) -> None:
    frame = _read(tmp_path / "t.csv", f'n,t\n1,{spelling}\n{spelling},"{spelling}"\n3,unknown\n'.encode())

    assert frame["n"].to_list() == [1, None, 3]
    assert frame["t"].to_list() == [None, spelling, "unknown"]


def test__read_table__quoted_null_among_numbers__is_a_missing_number(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'"n","t"\n"1","a"\n"NA","b"\n"","c"\n')
    table = read_table(path, "t.csv", ReadOptions(), ReadLimits())
    assert table.frame["n"].to_list() == [1, None, None]
    assert any("quoted" in note for note in table.warnings)


@_FEW
@given(
    data=st.lists(st.sampled_from(['"', ",", "\n", "a", '""', '","', "\r\n"]), max_size=30),
    cut=st.integers(1, 7),
)
def test__record_scanner__any_cut_of_the_bytes__gives_the_same_records(data: list[str], cut: int) -> None:
    text = "".join(data).encode()

    def scan(chunks: list[bytes]) -> list[tuple[bytes, int, int]] | None:
        scanner = RecordScanner(",", '"', ReadLimits())
        found = []
        try:
            for position, chunk in enumerate([*chunks, b""]):
                records = scanner.feed(chunk, is_last=position == len(chunks))
                if records is not None:
                    found += [
                        (records.data[start:end], int(fields), int(line))
                        for start, end, fields, line in zip(
                            records.starts, records.ends, records.num_fields, records.lines, strict=True
                        )
                    ]
        except IrregularQuotes:
            return None
        return found

    assert scan([text]) == scan([text[i : i + cut] for i in range(0, len(text), cut)])


@_FEW
@given(rows=st.lists(st.lists(st.text('ab" ', max_size=5), min_size=2, max_size=2), min_size=1, max_size=8))
def test__regular_quotes__quotes_inside_bare_fields__are_text(rows: list[list[str]]) -> None:
    rows = [[cell.strip(' "') + 'x"y' for cell in row] for row in rows]  # never opens with a quote
    text = "".join(",".join(row) + "\n" for row in rows).encode()

    regular = b"".join(regular_quotes([text], ",", '"')).decode()

    assert list(csv.reader(io.StringIO(regular))) == rows


@_FEW
@given(text=st.text(max_size=40), size=st.integers(1, 9), encoding=st.sampled_from(["utf-8", "utf-16-le"]))
def test__utf8_chunks__any_chunk_size__gives_the_same_text(
    tmp_path: Path, text: str, size: int, encoding: str
) -> None:
    assume(text.encode(encoding, errors="ignore").decode(encoding) == text)
    path = tmp_path / "t.txt"
    path.write_bytes(text.encode(encoding))

    assert b"".join(utf8_chunks(path, Encoding(encoding), chunk_bytes=size)).decode() == text
