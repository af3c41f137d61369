"""A random table in a random dialect is read as it was written, or refused with the line of its fault."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import TableFormatError
from models.features.reading import RawTable, ReadLimits, ReadOptions, SourceFile, read_tables
from models.features.reading.options import NULL_SPELLINGS

_MANY = settings(max_examples=60, deadline=None)


class Dialect(NamedTuple):
    delimiter: str
    encoding: str
    has_bom: bool
    decimal: str
    line_end: str
    null: str

    def write(self, value: Any) -> str:
        if value is None:
            return self.null
        if isinstance(value, float):
            return f"{value:.3f}".replace(".", self.decimal)
        text = value.isoformat() if isinstance(value, dt.date) else str(value)
        special = isinstance(value, str) and (
            value in NULL_SPELLINGS or any(char in text for char in (self.delimiter, '"', "\n", "\r"))
        )
        return '"' + text.replace('"', '""') + '"' if special or text != text.strip() else text

    def encode(self, lines: list[str]) -> bytes:
        text = ("\ufeff" if self.has_bom else "") + "".join(line + self.line_end for line in lines)
        return text.encode(self.encoding)


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    encoding = draw(st.sampled_from(["utf-8", "latin-1", "utf-16-le", "utf-16-be"]))
    delimiter = draw(st.sampled_from(",;\t|"))
    return Dialect(
        delimiter=delimiter,
        encoding=encoding,
        has_bom=encoding != "latin-1" and (encoding != "utf-8" or draw(st.booleans())),
        decimal="." if delimiter == "," else draw(st.sampled_from(".,")),
        line_end=draw(st.sampled_from(["\n", "\r\n"])),
        null=draw(st.sampled_from(["", "NA", "null", "\\N", "#N/A"])),
    )


_WORDS = st.text(st.sampled_from(list('abc éüß,;|\t"\n-x1')), min_size=1, max_size=8).filter(
    lambda word: word.strip() and not word.strip().isdigit() and word.strip() not in NULL_SPELLINGS
)
_ROWS = st.lists(
    st.tuples(
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.one_of(st.none(), st.integers(-(10**6), 10**6).map(lambda n: n / 8)),
        _WORDS,
        st.dates(dt.date(1900, 1, 1)),
        st.one_of(st.none(), _WORDS),
    ),
    min_size=2,
    max_size=12,
)
_NAMES = ("whole", "share", "word", "day", "note")


def read(folder: Path, contents: list[bytes], dialect: Dialect, **more: Any) -> RawTable:
    files = []
    for number, content in enumerate(contents):
        path = folder / f"{number}"
        path.write_bytes(content)
        files.append(SourceFile(path, f"{number}.csv"))
    options = ReadOptions.model_validate(
        {"delimiter": dialect.delimiter, "encoding": dialect.encoding, "decimal": dialect.decimal, **more}
    )
    return read_tables(files, options, ReadLimits())


def written(rows: list[tuple[Any, ...]], dialect: Dialect) -> list[str]:
    header = dialect.delimiter.join(_NAMES)
    return [header, *(dialect.delimiter.join(map(dialect.write, row)) for row in rows)]


@_MANY
@given(rows=_ROWS, dialect=dialects(), cut=st.integers(1, 11))
def test__read_tables__random_table_in_a_random_dialect__comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Any, ...]], dialect: Dialect, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("t")
    keeps = {"text_columns": ["word", "note"]}
    lines = written(rows, dialect)
    frame = read(folder, [dialect.encode(lines)], dialect, **keeps).frame
    assert frame.columns == list(_NAMES)
    assert frame["whole"].to_list() == [row[0] for row in rows]
    assert frame["day"].to_list() == [row[3] for row in rows]
    shares = [None if value is None else float(value) for value in frame["share"].to_list()]
    assert shares == [None if row[1] is None else round(row[1], 3) for row in rows]
    assert frame["word"].to_list() == [row[2] for row in rows]
    assert frame["note"].to_list() == [row[4] for row in rows]

    if cut < len(rows):  # the same rows in two files
        parts = [written(rows[:cut], dialect), written(rows[cut:], dialect)]
        in_two = read(folder, [dialect.encode(part) for part in parts], dialect, **keeps)
        assert in_two.frame.equals(frame)


@_MANY
@given(rows=_ROWS, dialect=dialects(), at=st.integers(0, 11), more=st.booleans())
def test__read_tables__one_ragged_row__is_refused_with_its_line_or_skipped(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    dialect: Dialect,
    at: int,
    more: bool,
) -> None:
    folder = tmp_path_factory.mktemp("t")
    lines = written(rows, dialect)
    at = 1 + at % len(rows)
    ragged = dialect.delimiter.join(["7", "1", "x", "2024-01-01", "y", "z"] if more else ["7", "x", "y"])
    content = dialect.encode([*lines[:at], ragged, *lines[at:]])
    with pytest.raises(TableFormatError) as refused:
        read(folder, [content], dialect)
    assert refused.value.code == "ragged_row"
    assert refused.value.details["line"] == 1 + sum(line.count("\n") + 1 for line in lines[:at])
    kept = read(folder, [content], dialect, ragged_rows="skip", text_columns=["word", "note"])
    assert kept.frame.height == len(rows)
    assert any("skipped as asked" in note for note in kept.warnings)


@_MANY
@given(
    numbers=st.lists(st.integers(-(10**6), 10**6).map(lambda n: n / 100), min_size=10, max_size=20),
    dialect=dialects(),
)
def test__read_tables__nothing_said__finds_delimiter_decimal_mark_and_encoding(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], dialect: Dialect
) -> None:
    lines = [dialect.delimiter.join(("amount", "größe", "city"))]
    for number in numbers:
        amount = f"{number:.2f}".replace(".", dialect.decimal)
        lines.append(dialect.delimiter.join((amount, "groß und weiß", "Köln")))
    path = tmp_path_factory.mktemp("t") / "t"
    path.write_bytes(dialect.encode(lines))
    table = read_tables([SourceFile(path, "upload")], ReadOptions(), ReadLimits())
    assert table.frame.columns == ["amount", "größe", "city"]
    assert table.frame["amount"].to_list() == [round(number, 2) for number in numbers]
    assert set(table.frame["city"]) == {"Köln"}
    assert (table.sniffed.delimiter, table.sniffed.decimal) == (dialect.delimiter, dialect.decimal)
