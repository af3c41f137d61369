"""Delimiter, decimal mark and header of a CSV file, from its first records."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.errors import TableFormatError
from models.features.reading.header import refuse_missing_header, refuse_second_header
from models.features.reading.names import check_column_count, check_column_names
from models.features.reading.options import DELIMITERS, ReadLimits, ReadOptions

_SAMPLE_CHARS = 256 * 1024
_SAMPLE_RECORDS = 1_000
_COMMA_NUMBER = re.compile(r"-?\d+,\d+")
_POINT_NUMBER = re.compile(r"-?\d+\.\d+")
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2},\d{3}")
_PADDING = re.compile(r"[,;\t| ]*")


@dataclass(frozen=True)
class Dialect:
    """`columns`: the names; `num_unnamed`: fields after them without a name, which must turn out empty.
    `header_lines`: physical lines up to and with the header."""

    delimiter: str
    decimal: Literal[".", ","]
    columns: tuple[str, ...]
    num_unnamed: int
    num_sample_rows: int
    header_lines: int
    warnings: tuple[str, ...] = ()

    @property
    def num_fields(self) -> int:
        return len(self.columns) + self.num_unnamed


@dataclass(frozen=True)
class _Sample:
    records: list[list[str]]
    lines: list[int]  # last physical line of each record, 1-based in the file


def detect_dialect(
    text: str, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
) -> Dialect:
    """`text`: the decoded first MiB, byte order mark removed.

    Raises: TableFormatError empty_file, header_only, too_many_columns, duplicate_column, invalid_column_name,
    missing_header, second_header, unclosed_quote.
    """
    text = _without_skipped(text, options.skip_lines, is_whole_file=is_whole_file)
    text = _whole_records(text, is_whole_file=is_whole_file)
    delimiter = options.delimiter or _detect_delimiter(text, filename, options)
    sample = _sample(text, delimiter, options, is_whole_file=is_whole_file)
    if not sample.records:
        raise TableFormatError(
            "The first record goes on for more than a MiB: a quote that is never closed, or no table. Check the "
            "quotes of the first lines.",
            code="unclosed_quote", line=options.skip_lines + 1,
        )  # fmt: skip
    body = sample.records[1:] if options.has_header else sample.records
    decimal = options.decimal or _detect_decimal(body, delimiter)
    columns, num_unnamed = _read_header(sample, options, limits)
    if options.has_header:
        if is_whole_file and not body:
            raise TableFormatError(
                "The file has a header and no rows. A table needs at least one row; if the first line is a row, say "
                '{"has_header": false}.',
                code="header_only", line=sample.lines[0],
            )  # fmt: skip
        refuse_missing_header(sample.records[0], body, line=sample.lines[0])
        if body:
            refuse_second_header(body, line=sample.lines[1], skip_lines=sample.lines[0])
        check_column_names(columns, limits, line=sample.lines[0])
    return Dialect(
        delimiter=delimiter,
        decimal=decimal,
        columns=columns,
        num_unnamed=num_unnamed,
        num_sample_rows=len(body),
        header_lines=sample.lines[0] if options.has_header else options.skip_lines,
        warnings=_one_column_warning(columns, body),
    )


def _read_header(sample: _Sample, options: ReadOptions, limits: ReadLimits) -> tuple[tuple[str, ...], int]:
    first = sample.records[0]
    check_column_count(len(first), limits, line=sample.lines[0])
    if not options.has_header:
        return tuple(f"column_{position}" for position in range(1, len(first) + 1)), 0
    names = [name.strip() for name in first]
    num_named = len(names)
    while num_named > 1 and _PADDING.fullmatch(first[num_named - 1]):
        num_named -= 1
    return tuple(names[:num_named]), len(names) - num_named


def _without_skipped(text: str, skip_lines: int, *, is_whole_file: bool) -> str:
    for _ in range(skip_lines):
        _, newline, text = text.partition("\n")
        if not newline:
            break
    if not text.strip("\r\n\t ;,|\ufeff"):
        what = "no text" if is_whole_file else "no text in its first MiB"
        raise TableFormatError(
            f"The file holds {what}, so no table. Check that it was written out.", code="empty_file"
        )
    return text


def _whole_records(text: str, *, is_whole_file: bool) -> str:
    if "\n" not in text:
        text = text.replace("\r", "\n")
    if is_whole_file and len(text) <= _SAMPLE_CHARS:
        return text
    cut = text.rfind("\n", 0, _SAMPLE_CHARS)
    return text[: cut + 1] if cut > 0 else text


def _sample(text: str, delimiter: str, options: ReadOptions, *, is_whole_file: bool) -> _Sample:
    """Records from the first with any text on, without blank lines, and without the last one where the text may
    be cut inside it."""
    records: list[list[str]] = []
    lines: list[int] = []
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if options.quote else csv.QUOTE_NONE,
    )
    is_cut = not is_whole_file or len(text) >= _SAMPLE_CHARS
    try:
        for record in itertools.islice(reader, _SAMPLE_RECORDS):
            if any(cell.strip() for cell in record) or (records and record):
                records.append(record)
                lines.append(reader.line_num + options.skip_lines)
    except csv.Error:  # an over-long field or a lone \r: reading the whole file names its line
        is_cut = False
    if is_cut and len(records) > 1 and len(records) < _SAMPLE_RECORDS:
        records.pop()
        lines.pop()
    return _Sample(records, lines)


def _detect_delimiter(text: str, filename: str, options: ReadOptions) -> str:
    """The separator that cuts most records into the header's number of fields; among equals the one that makes
    more fields. A file that none cuts has one column."""
    best, best_score = ",", (0.0, 0, 0)
    for delimiter in DELIMITERS:
        records = _sample(text, delimiter, options, is_whole_file=True).records
        if not records:
            continue
        mode, num_mode = Counter(map(len, records)).most_common(1)[0]
        if options.has_header and len(records[0]) > 1:
            mode, num_mode = len(records[0]), sum(len(record) == len(records[0]) for record in records[1:])
            num_mode += 1
        if mode < 2:
            continue
        share = num_mode / len(records)
        if options.has_header and len(records[0]) != mode:
            share /= 2
        if not options.has_header and delimiter == ",":
            share -= 0.01  # `1,5;2,5` is two decimal commas, not three fields
        is_named = filename.lower().endswith((".tsv", ".tab")) and delimiter == "\t"
        score = (round(share, 2), int(is_named), mode)
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _detect_decimal(body: Sequence[Sequence[str]], delimiter: str) -> Literal[".", ","]:
    num_comma = num_point = num_thousands = 0
    for record in body:
        for cell in record:
            cell = cell.strip()
            if _COMMA_NUMBER.fullmatch(cell):
                num_comma += 1
                num_thousands += _THOUSANDS.fullmatch(cell) is not None
            elif _POINT_NUMBER.fullmatch(cell):
                num_point += 1
    if delimiter == ",":  # a quoted "1,5" among quoted "12,000" is more often the odd one
        return "," if num_comma > num_thousands and num_point == 0 else "."
    return "," if num_comma > 0 and num_comma >= num_point else "."


def _one_column_warning(columns: tuple[str, ...], body: Sequence[Sequence[str]]) -> tuple[str, ...]:
    if len(columns) > 1 or not body:
        return ()
    return (
        "The file was read as a single column: no comma, semicolon, tab or bar separates its lines. Name the "
        "delimiter in the reading options if that is wrong.",
    )
