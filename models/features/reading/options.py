"""What a caller may say about a file, what is allowed in one, and what reading it gives."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

DELIMITERS = (",", ";", "\t", "|")
"""The field separators that are recognised without being named."""

FormatName = Literal["csv", "parquet", "arrow", "json_lines"]

NULL_SPELLINGS = (
    "", "NA", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "Null", "NaN", "nan", "NAN", "None", "\\N",
)  # fmt: skip
"""Unquoted CSV cells that mean "no value"; blank cells do too. Case counts: `none` and `na` are levels, and
so are `unknown`, `?` and `-`. A quoted spelling (`"NA"`, say Namibia) is a level in a text column; in a
column whose other cells are all numbers it is a missing number. An empty cell is null, quoted or not."""

ENCODINGS = frozenset({
    "ascii", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be",
    *(f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))), *(f"cp{page}" for page in range(1250, 1259)),
    "cp437", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861", "cp862", "cp863",
    "cp864", "cp865", "cp866", "cp869", "cp874", "mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek",
    "mac-turkish", "koi8-r", "koi8-u", "tis-620", "shift_jis", "shift_jis_2004", "shift_jisx0213", "cp932", "euc_jp",
    "euc_jis_2004", "euc_kr", "cp949", "johab", "gb2312", "gbk", "gb18030", "big5", "big5hkscs", "cp950",
})  # fmt: skip
"""Codecs of characters, by the name Python gives them. Others of Python's (idna, punycode, unicode_escape …) do
not decode files, or not in pieces."""


_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ReadOptions(_Frozen):
    """What the caller says about the file; what is left out is detected.

    Shape of a file: `skip_lines` physical lines that are not part of the table, then the header (if
    `has_header`), then one record per row. `quote=""` switches quoting off. `ragged_rows="skip"` leaves rows
    with a wrong number of fields out, counted in a warning, instead of refusing the file; `odd_rows="skip"` leaves
    those out whose cells look unlike all others (see `odd_rows`), instead of only warning. `text_columns` are
    never read as numbers, booleans or dates. `null_values` replaces the default spellings of "no value"; those that
    are numbers hold for every spelling of the number in a column of numbers.
    """

    format: FormatName | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    has_header: bool = True
    quote: Literal['"', "'", ""] = '"'
    skip_lines: int = Field(default=0, ge=0, le=10_000)
    ragged_rows: Literal["refuse", "skip"] = "refuse"
    odd_rows: Literal["keep", "skip"] = "keep"
    text_columns: tuple[str, ...] = ()
    null_values: tuple[str, ...] | None = None
    # Not for callers: what a table holds already, see `keeping`.
    _kept: Mapping[str, frozenset[str]] = PrivateAttr(default_factory=dict)

    def keeping(self, kept: Mapping[str, frozenset[str]]) -> Self:
        """The same, but that cells of a column (by name) spelled as one of its `kept` null spellings are values, unless
        the file has the spelling in quotes too: then the quotes tell."""
        copied = self.model_copy()
        copied._kept = dict(kept)
        return copied

    @property
    def kept(self) -> Mapping[str, frozenset[str]]:
        return self._kept

    @field_validator("delimiter")
    @classmethod
    def _one_printable_byte(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value in ("tab", "\\t"):  # how people write it in a form or a shell
            return "\t"
        if len(value) != 1 or not value.isascii() or value.isalnum() or value in "\"'\n\r\0.-+":
            raise ValueError(
                "a delimiter is one ASCII character that is no letter, digit, quote, sign or line end"
            )
        return value

    @field_validator("encoding")
    @classmethod
    def _known_text_encoding(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            name = codecs.lookup(value).name
        except (LookupError, ValueError):  # ValueError: a NUL in the name
            name = ""
        if name not in ENCODINGS:
            raise PydanticCustomError(
                "unsupported_encoding",
                "this encoding is unknown or not read; use utf-8, utf-16 (-le, -be), latin-1 or iso8859-2 to 16, cp1250 "
                "to cp1258, cp437, cp850 and other DOS pages, mac-roman, koi8-r, shift_jis, cp932, euc_jp, euc_kr, "
                "gb18030, gbk or big5, or save the file as UTF-8",
            )
        return name

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal is not None and self.decimal == self.delimiter:
            raise ValueError("the decimal mark and the delimiter must differ")
        if self.quote and self.quote == self.delimiter:
            raise ValueError("the quote and the delimiter must differ")
        return self

    @property
    def nulls(self) -> tuple[str, ...]:
        return NULL_SPELLINGS if self.null_values is None else tuple(dict.fromkeys(("", *self.null_values)))

    @property
    def null_numbers(self) -> tuple[float, ...]:
        """The numbers among `null_values`, with either decimal mark."""
        plain = (spelling.strip().replace(",", ".") for spelling in self.null_values or ())
        return tuple(dict.fromkeys(float(text) for text in plain if _NUMBER.fullmatch(text)))


class ReadLimits(_Frozen):
    """Caps on one file; beyond them it is refused, not cut."""

    max_bytes: int = 4 * 1024**3
    max_rows: int = 50_000_000
    max_columns: int = 2_000
    max_cell_chars: int = 100_000
    max_name_chars: int = 200


class Sniffed(_Frozen):
    """What the first bytes of a file say. `columns` is empty for Parquet unless the whole file was seen, since
    its schema stands at the end; `format` is None only for an archive that cannot be looked into yet."""

    format: FormatName | None = None
    delimiter: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RowLines:
    """Physical line (1-based) of each row, as runs in which the line number grows by one per row."""

    first_rows: np.ndarray  # int64 [R], row at which a run starts, ascending, first is 0
    offsets: np.ndarray  # int64 [R], line - row inside the run

    @classmethod
    def from_lines(cls, lines: np.ndarray) -> RowLines:
        """`lines` int64 [N]: the line on which each row starts."""
        offsets = lines - np.arange(len(lines), dtype=np.int64)
        starts = np.flatnonzero(np.diff(offsets, prepend=offsets[:1] - 1))
        return cls(first_rows=starts.astype(np.int64), offsets=offsets[starts])

    def __getitem__(self, row: int) -> int:
        run = int(np.searchsorted(self.first_rows, row, side="right")) - 1
        return row + int(self.offsets[run])


class SourceFile(NamedTuple):
    """A file to read; `name` is what it was sent under, a hint and how messages call it, never a path."""

    path: Path
    name: str


@dataclass(frozen=True)
class FileRows:
    """The rows of a table that come from one of its files.

    `position`: 1-based; `first_row`: 0-based in the table; `lines` is None for formats without lines.
    """

    position: int
    name: str
    first_row: int
    lines: RowLines | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RawTable:
    """One file or several as canonical columns (String, Int64, Float64, Boolean, Date, Datetime[us])."""

    frame: pl.DataFrame
    sniffed: Sniffed
    warnings: tuple[str, ...] = ()
    files: tuple[FileRows, ...] = ()

    def line_of_row(self, row: int) -> int | None:
        """Physical line, in its file, on which 0-based `row` starts; None where the format has no lines."""
        file = self._file_of_row(row)
        return None if file is None or file.lines is None else file.lines[row - file.first_row]

    def place_of_row(self, row: int) -> str:
        """`line 8000` or, without lines, `row 7999`, with the file where there are several: how a message names
        the place."""
        line, file = self.line_of_row(row), self._file_of_row(row)
        first_row = 0 if file is None else file.first_row
        place = f"row {row - first_row + 1}" if line is None else f"line {line}"
        if file is None or len(self.files) == 1:
            return place
        return f"{place} of file {file.position} ({file.name})"

    def _file_of_row(self, row: int) -> FileRows | None:
        return next((file for file in reversed(self.files) if file.first_row <= row), None)
