"""JSON lines: one object per line, read strictly and without loss.

Columns are the keys of all objects in the order they first appear; a key that an object lacks is null in its row, like
`null`. Values are scalars. A column of numbers becomes integer or float, one of booleans boolean, one of ISO 8601 text
date or datetime; text of whole numbers stays text, since JSON says it is (codes, zip codes). A column that mixes
types becomes text with a warning: every number and boolean as it was written.

Refused with the line: what is no object, nested values, a key that stands twice in an object, NaN and infinities,
numbers beyond a double.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import polars as pl

from models.errors import TableFormatError
from models.features.reading.encodings import Encoding, detect_encoding, utf8_chunks
from models.features.reading.file_columns import FileColumns
from models.features.reading.names import check_column_names
from models.features.reading.options import ReadLimits, ReadOptions, RowLines, Sniffed
from models.features.reading.text_types import (
    DecimalMarks,
    TypedColumn,
    is_exact_where_large,
    type_text_column,
)
from models.features.reading.typed_columns import check_cells, text_or_number

_STARTS_LIKE = re.compile(rb'\s*\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})')
_BATCH_ROWS = 20_000
_MAX_LINE_BYTES = 64 * 1024 * 1024
_MAX_HEAD_LINES = 1_000


class JsonLinesFile:
    word = "JSON lines"

    def recognises(self, head: bytes, options: ReadOptions) -> bool:
        return _STARTS_LIKE.match(head.removeprefix(b"\xef\xbb\xbf")) is not None

    def sniff(
        self, head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
    ) -> Sniffed:
        """Columns are known only when the whole file is: a later object may have more keys."""
        lines = head.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        if not is_whole_file:
            lines = lines[: max(1, len(lines) - 1)][:_MAX_HEAD_LINES]
            if len(lines) == 1 and len(head) >= 2:
                return Sniffed(format="json_lines")
        reader = _Reader(limits)
        reader.take(lines)
        check_column_names(reader.names, limits, line=None)
        if is_whole_file and not reader.num_rows:
            raise _no_rows()
        return Sniffed(format="json_lines", columns=tuple(reader.names) if is_whole_file else ())

    def read(self, path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
        with path.open("rb") as file:
            encoding = detect_encoding(file.read(3), "utf-8", is_whole_file=False)
        reader = _Reader(limits)
        for lines in _batches(_lines(path, encoding)):
            reader.take(lines)
        if not reader.num_rows:
            raise _no_rows()
        check_column_names(reader.names, limits, line=None)
        return reader.finish(options)


class _FloatText(str):
    """A number with a fraction or exponent, as it was written."""


@dataclass
class _Column:
    """Cells as text; `kinds`: the JSON types that were seen."""

    first_row: int
    pieces: list[pl.Series] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


class _Reader:
    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._line = 0
        self._columns: dict[str, _Column] = {}
        self._lines: list[np.ndarray] = []
        self.num_rows = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=lambda pairs: pairs, parse_float=self._float, parse_constant=self._constant
        )

    @property
    def names(self) -> list[str]:
        return list(self._columns)

    def take(self, lines: Iterable[bytes]) -> None:
        """Raises: TableFormatError invalid_json, duplicate_key, nested_value, invalid_encoding, too_many_rows,
        cell_too_long, too_many_columns."""
        rows: list[dict[str, Any]] = []
        numbers: list[int] = []
        for line in lines:
            self._line += 1
            if line.strip():
                rows.append(self._row(line))
                numbers.append(self._line)
        if not rows:
            return
        keys = dict.fromkeys(key for row in rows for key in row)
        for key in keys:
            column = self._columns.setdefault(key, _Column(first_row=self.num_rows))
            self._fill(column, self.num_rows)
            column.pieces.append(_as_text([row.get(key) for row in rows], column.kinds))
        self.num_rows += len(rows)
        if len(self._columns) > self._limits.max_columns:
            check_column_names(self.names, self._limits, line=numbers[0])
        if self.num_rows > self._limits.max_rows:
            self._refuse("a table has at most that many rows: send a part of it", "too_many_rows")
        self._lines.append(np.array(numbers, dtype=np.int64))

    def finish(self, options: ReadOptions) -> FileColumns:
        columns: list[pl.Series] = []
        warnings: list[str] = []
        names = self.names
        for name in names:
            column = self._columns.pop(name)
            self._fill(column, self.num_rows)
            text = pl.concat(column.pieces, rechunk=False).alias(name)
            check_cells(text, self._limits)
            typed = _typed(text, column.kinds, keeps_text=name in options.text_columns)
            columns.append(typed.series)
            warnings.extend(typed.warnings)
        return FileColumns(
            frame=pl.DataFrame(columns),
            sniffed=Sniffed(format="json_lines", encoding="utf-8", columns=tuple(names)),
            warnings=tuple(warnings),
            lines=RowLines.from_lines(np.concatenate(self._lines)),
        )

    def _fill(self, column: _Column, num_rows: int) -> None:
        """Nulls for the rows before this batch that had no such key."""
        lacking = num_rows - sum(map(len, column.pieces))
        if lacking:
            column.pieces.append(pl.Series([None], dtype=pl.String).new_from_index(0, lacking))

    def _row(self, line: bytes) -> dict[str, Any]:
        try:
            pairs, end = self._decoder.raw_decode(line.decode("utf-8").strip())
            has_more = end != len(line.decode("utf-8").strip())
        except json.JSONDecodeError as error:
            self._refuse(
                f"is not JSON from column {error.colno} on", "invalid_json", column_number=error.colno
            )
        except UnicodeDecodeError:
            self._refuse("is not UTF-8", "invalid_encoding")
        except (RecursionError, ValueError):  # nested beyond any reason; an integer of thousands of digits
            self._refuse("holds a value that no table can", "invalid_json")
        if has_more or not isinstance(pairs, list) or not line.lstrip().startswith(b"{"):
            self._refuse("is not one JSON object", "invalid_json")
        if b"\\u" in line:
            self._check_text(pairs)
        row = dict(pairs)
        if len(row) < len(pairs):
            key = Counter(key for key, _ in pairs).most_common(1)[0][0]
            self._refuse(f"has the key {key[:200]!r} twice", "duplicate_key", column=key[:200])
        for key, value in row.items():
            if isinstance(value, list):  # arrays, and objects as pairs
                self._refuse(
                    f"holds an array or object under {key[:200]!r}; cells are text, numbers, booleans or null, so "
                    "flatten it into keys of their own",
                    "nested_value", column=key[:200],
                )  # fmt: skip
        return row

    def _check_text(self, pairs: list[tuple[str, Any]]) -> None:
        """JSON can escape half of a surrogate pair, which is no character: no UTF-8 can hold it."""
        for key, value in pairs:
            if _is_broken(key):
                self._refuse(
                    "has a key with half of a surrogate pair (\\ud800 to \\udfff alone)", "invalid_json"
                )
            if isinstance(value, str) and _is_broken(value):
                self._refuse(
                    f"holds half of a surrogate pair (\\ud800 to \\udfff alone) under {key[:200]!r}; escape both halves, "
                    "or write the character itself",
                    "invalid_json", column=key[:200],
                )  # fmt: skip

    def _float(self, text: str) -> _FloatText:
        if float(text) in (float("inf"), float("-inf")):
            self._refuse("holds a number beyond a 64-bit float", "invalid_json")
        return _FloatText(text)

    def _constant(self, text: str) -> NoReturn:
        self._refuse(f"holds {text}, which is not JSON; write null for a missing value", "invalid_json")

    def _refuse(self, what: str, code: str, **details: str | int) -> NoReturn:
        raise TableFormatError(f"Line {self._line} {what}.", code=code, line=self._line, **details)


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _no_rows() -> TableFormatError:
    return TableFormatError(
        "The file has no JSON object, so no row. A table needs at least one row.", code="header_only"
    )


def _lines(path: Path, encoding: Encoding) -> Iterator[bytes]:
    """Raises: TableFormatError invalid_encoding, cell_too_long."""
    carry = b""
    for chunk in utf8_chunks(path, encoding):
        *lines, carry = (carry + chunk).split(b"\n")
        yield from lines
        if len(carry) > _MAX_LINE_BYTES:
            raise TableFormatError(
                f"A line is longer than {_MAX_LINE_BYTES:,} bytes. Write one object per line.",
                code="cell_too_long",
            )
    yield carry


def _batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    yield batch


def _as_text(values: list[Any], kinds: set[str]) -> pl.Series:
    types = set(map(type, values)) - {type(None)}
    kinds.update(kind.__name__ for kind in types)
    if types <= {str, _FloatText}:
        return pl.Series(values, dtype=pl.String)
    return pl.Series(
        [value if value is None or isinstance(value, str) else json.dumps(value) for value in values],
        dtype=pl.String,
    )


def _typed(text: pl.Series, kinds: set[str], *, keeps_text: bool) -> TypedColumn:
    name = text.name
    if "str" in kinds and (is_blank := text.str.strip_chars() == "").any():
        text = text.set(is_blank.fill_null(value=False), None)
    if kinds <= {"str"} and not keeps_text:
        return text_or_number(text, tells_moments=True)
    if keeps_text or kinds <= {"str"}:
        return TypedColumn(text)
    if kinds == {"bool"}:
        return TypedColumn(text == "true")
    if kinds == {"int"}:
        return type_text_column(text, DecimalMarks(".", is_stated=True))
    if kinds <= {"int", "_FloatText"}:
        values = text.cast(pl.Float64, strict=False)
        if is_exact_where_large(text, values):
            return TypedColumn(values)
        return TypedColumn(
            text, (f"Column {name!r} holds numbers that a double cannot hold and was kept as text.",)
        )
    words = {"str": "text", "int": "numbers", "_FloatText": "numbers", "bool": "booleans"}
    found = ", ".join(sorted({words[kind] for kind in kinds}))
    return TypedColumn(text, (f"Column {name!r} mixes {found} and was kept as text.",))
