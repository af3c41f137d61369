"""Reads a whole CSV file: bytes → UTF-8 → records checked → String columns."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from models.errors import TableFormatError
from models.features.reading.dialect import Dialect, detect_dialect
from models.features.reading.encodings import Encoding, NotUtf8, detect_encoding, utf8_chunks
from models.features.reading.file_columns import FileColumns
from models.features.reading.kept_spellings import settle_kept
from models.features.reading.odd_rows import find_odd_rows
from models.features.reading.options import ReadLimits, ReadOptions, RowLines, Sniffed
from models.features.reading.quoting import regular_quotes
from models.features.reading.records import IrregularQuotes, RecordScanner
from models.features.reading.repair import Repairs, repaired
from models.features.reading.signatures import refuse_binary_text, refuse_other_formats
from models.features.reading.text_types import DecimalMarks

HEAD_BYTES = 1024 * 1024
QUOTED_MARK = "\0"  # ends a cell that was a quoted null spelling; no cell holds a NUL otherwise
_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PADDING_ONLY = r"^[,;|\t ]*$"


class CsvFile:
    """Comma, semicolon, tab or bar separated text; what is no other format is taken for it, or refused."""

    word = "CSV"

    def recognises(self, head: bytes, options: ReadOptions) -> bool:
        """Raises: TableFormatError not_a_table, unsupported_encoding."""
        refuse_other_formats(head)
        if not head.startswith(_UTF16_BOMS) and not (options.encoding or "").startswith("utf-16"):
            refuse_binary_text(head[: 64 * 1024])
        return True

    def sniff(
        self, head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
    ) -> Sniffed:
        head = head if is_whole_file else head[:HEAD_BYTES]
        return inspect_head(head, filename, options, limits, is_whole_file=is_whole_file).sniffed

    def read(self, path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
        return read_csv(path, filename, options, limits)


@dataclass(frozen=True)
class CsvHead:
    """What the first MiB says."""

    encoding: Encoding
    dialect: Dialect
    has_bare_returns: bool  # old Mac line ends: \r alone

    @property
    def sniffed(self) -> Sniffed:
        return Sniffed(
            format="csv",
            delimiter=self.dialect.delimiter,
            encoding=self.encoding.name,
            decimal=self.dialect.decimal,
            columns=self.dialect.columns,
            warnings=(*self.encoding.warnings, *self.dialect.warnings),
        )


def inspect_head(
    head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
) -> CsvHead:
    """Raises: TableFormatError, as `encodings.detect_encoding` and `dialect.detect_dialect`."""
    encoding = detect_encoding(head, options.encoding, is_whole_file=is_whole_file)
    return _inspect(head, encoding, filename, options, limits, is_whole_file=is_whole_file)


def _inspect(
    head: bytes,
    encoding: Encoding,
    filename: str,
    options: ReadOptions,
    limits: ReadLimits,
    *,
    is_whole_file: bool,
) -> CsvHead:
    # A character cut by the end of the head, or invalid, is no matter here: reading the whole file decodes strictly.
    text = head[encoding.bom_bytes :].decode(encoding.name, errors="replace" if is_whole_file else "ignore")
    dialect = detect_dialect(text, filename, options, limits, is_whole_file=is_whole_file)
    return CsvHead(encoding, dialect, has_bare_returns="\n" not in text and "\r" in text)


def read_csv(path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
    """Raises: TableFormatError with code, and line where there is one."""
    with path.open("rb") as file:
        head_bytes = file.read(HEAD_BYTES)
        is_whole_file = not file.read(1)
    head = inspect_head(head_bytes, filename, options, limits, is_whole_file=is_whole_file)
    for _ in range(2):  # a later part of the file may show its encoding, but only once
        try:
            return _read_with_quotes(path, head, options, limits)
        except NotUtf8 as found:
            head = _inspect(
                head_bytes, found.encoding, filename, options, limits, is_whole_file=is_whole_file
            )
    raise AssertionError("an encoding that is not ASCII decodes or refuses")


def _read_with_quotes(path: Path, head: CsvHead, options: ReadOptions, limits: ReadLimits) -> FileColumns:
    try:
        return _CsvReader(head, options, limits).read(_chunks(path, head, options))
    except IrregularQuotes:
        first_line = options.skip_lines + 1
        chunks = regular_quotes(
            _chunks(path, head, options), head.dialect.delimiter, options.quote, first_line=first_line
        )
        return _CsvReader(head, options, limits).read(chunks)


def _chunks(path: Path, head: CsvHead, options: ReadOptions) -> Iterator[bytes]:
    num_to_skip = options.skip_lines
    for chunk in utf8_chunks(path, head.encoding):
        data = chunk.replace(b"\r", b"\n") if head.has_bare_returns else chunk
        while num_to_skip and data:
            _, newline, data = data.partition(b"\n")
            num_to_skip -= bool(newline)
        if data:
            yield data


@dataclass
class _CsvReader:
    head: CsvHead
    options: ReadOptions
    limits: ReadLimits
    frames: list[pl.DataFrame] = field(default_factory=list)
    lines: list[np.ndarray] = field(default_factory=list)
    repairs: Repairs = field(default_factory=Repairs)
    num_rows: int = 0
    has_quoted_nulls: bool = False

    @property
    def kept_somewhere(self) -> frozenset[str]:
        return frozenset[str]().union(*self.options.kept.values())

    def read(self, chunks: Iterable[bytes]) -> FileColumns:
        dialect, options = self.head.dialect, self.options
        scanner = RecordScanner(
            dialect.delimiter, options.quote, self.limits, first_line=options.skip_lines + 1
        )
        for chunk in chunks:
            self._take(scanner, chunk, is_last=False)
        self._take(scanner, b"", is_last=True)
        if not self.num_rows:
            raise TableFormatError(
                "The file has a header and no rows. A table needs at least one row.",
                code="header_only", line=dialect.header_lines,
            )  # fmt: skip
        frame = pl.concat(self.frames, rechunk=False)
        self.frames.clear()
        lines = np.concatenate(self.lines)
        self.lines.clear()
        kept = settle_kept(frame, dialect.columns, options.kept, QUOTED_MARK)
        frame, lines, warnings = self._without_padding(kept.frame, lines)
        warnings += kept.warnings
        frame.columns = list(dialect.columns)
        if options.odd_rows == "skip" and (is_odd := find_odd_rows(frame.get_columns())) is not None:
            first = int(lines[is_odd.arg_max() or 0])
            warnings.append(
                f"{int(is_odd.sum()):,} rows that look unlike the others were skipped as asked; the first is on line {first}."
            )
            frame, lines = frame.filter(~is_odd), lines[~is_odd.to_numpy()]
        return FileColumns(
            frame=frame,
            sniffed=self.head.sniffed,
            warnings=(*self.head.sniffed.warnings, *self.repairs.warnings(), *warnings),
            lines=RowLines.from_lines(lines),
            marks=DecimalMarks(dialect.decimal, is_stated=options.decimal is not None),
            quoted_mark=QUOTED_MARK if self.has_quoted_nulls else None,
        )

    def _take(self, scanner: RecordScanner, chunk: bytes, *, is_last: bool) -> None:
        records = scanner.feed(chunk, is_last=is_last)
        if records is None:
            return
        dialect = self.head.dialect
        data, lines = repaired(
            records,
            dialect.delimiter.encode(),
            dialect.num_fields,
            self.repairs,
            skips_ragged=self.options.ragged_rows == "skip",
            header_line=dialect.header_lines if self.options.has_header else None,
        )
        if not len(lines):
            return
        self.num_rows += len(lines)
        if self.num_rows > self.limits.max_rows:
            raise TableFormatError(
                f"A table has at most {self.limits.max_rows:,} rows; this one has more. Send a part of it.",
                code="too_many_rows", line=int(lines[-1]),
            )  # fmt: skip
        self.frames.append(self._cut_fields(data, len(lines)))
        self.lines.append(lines)

    def _cut_fields(self, data: bytes, num_records: int) -> pl.DataFrame:
        """String columns `0`, `1`, … of `num_records` checked records."""
        dialect = self.head.dialect
        names = [str(position) for position in range(dialect.num_fields)]
        # A header of our own keeps polars from taking the first cell for a byte order mark or blank line.
        text = dialect.delimiter.join(names).encode() + b"\n" + data
        text = self._mark_quoted_nulls(text)
        frame = pl.read_csv(
            io.BytesIO(text),
            schema=dict.fromkeys(names, pl.String),
            separator=dialect.delimiter,
            quote_char=self.options.quote or None,
            null_values=[spelling for spelling in self.options.nulls if spelling not in self.kept_somewhere],
            extra_columns="raise",
            missing_columns="raise",
            raise_if_empty=True,
        )
        if frame.height != num_records:
            raise TableFormatError(
                f"The file could not be cut into rows reliably ({frame.height:,} rows from {num_records:,} records). "
                "Write it again with standard quoting, or send Parquet.",
                code="ambiguous_records",
            )
        return frame

    def _mark_quoted_nulls(self, text: bytes) -> bytes:
        quote = self.options.quote.encode()
        spellings = [spelling.encode() for spelling in self.options.nulls if spelling]
        if (
            not quote
            or quote not in text
            or not any(quote + spelling + quote in text for spelling in spellings)
        ):
            return text
        delimiter = re.escape(self.head.dialect.delimiter.encode())
        any_spelling = b"|".join(re.escape(spelling) for spelling in spellings)
        pattern = rb"(?<=[\n%s])%s(%s)%s(?=[\r\n%s])" % (delimiter, quote, any_spelling, quote, delimiter)
        self.has_quoted_nulls = True
        return re.sub(pattern, rb"%s\1\0%s" % (quote, quote), text)

    def _without_padding(
        self, frame: pl.DataFrame, lines: np.ndarray
    ) -> tuple[pl.DataFrame, np.ndarray, list[str]]:
        """Drops the unnamed trailing columns (which must be empty), then the rows that held nothing else."""
        dialect = self.head.dialect
        if not dialect.num_unnamed:
            return frame, lines, []
        for position in range(len(dialect.columns), dialect.num_fields):
            is_filled = ~frame[str(position)].fill_null("").str.contains(_PADDING_ONLY)
            if is_filled.any():
                row = int(is_filled.arg_max() or 0)
                raise TableFormatError(
                    f"Column {position + 1} has no name (line {dialect.header_lines}) but holds values, the first on "
                    f"line {int(lines[row])}. Name it, or empty it.",
                    code="invalid_column_name", line=dialect.header_lines, position=position + 1,
                )  # fmt: skip
        frame = frame.select(frame.columns[: len(dialect.columns)])
        warnings = [f"{dialect.num_unnamed} empty trailing columns without a name were left out."]
        is_empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if num_empty := int(is_empty.sum()):
            if num_empty == frame.height:
                raise TableFormatError(
                    "The file has a header and no rows. A table needs at least one row.",
                    code="header_only", line=dialect.header_lines,
                )  # fmt: skip
            first = int(lines[int(is_empty.arg_max() or 0)])
            warnings.append(f"{num_empty:,} rows without any value were left out, the first on line {first}.")
            frame, lines = frame.filter(~is_empty), lines[~is_empty.to_numpy()]
        return frame, lines, warnings
