"""Where the records of a CSV file begin and end: a vectorised scan of its bytes.

Polars cuts the fields, fast, but fills short records with nulls and names no line. This scan, at a few
hundred MB/s, gives every record its number of fields and its physical line, and proves that the quoting is
regular: each quote opens a field, closes one, or is doubled inside one. Letters of shape: N records.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import TableFormatError
from models.features.reading.options import ReadLimits

_NEWLINE, _RETURN = 10, 13
_MAX_RECORD_BYTES = 64 * 1024 * 1024


class IrregularQuotes(Exception):
    """The bytes hold a quote inside an unquoted field, text after a closing quote, or an unclosed quote."""


@dataclass(frozen=True)
class Records:
    """Complete records of `data`, in order and without a gap.

    starts, ends: int64 [N], content of each record in `data` without its line end;
    num_fields: int64 [N]; lines: int64 [N], physical line (1-based) on which each starts.
    """

    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    num_fields: np.ndarray
    lines: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


class RecordScanner:
    """Feed it UTF-8 in chunks of any cut; it gives back the records that are complete.

    `first_line`: physical line on which the first chunk starts.
    """

    def __init__(self, delimiter: str, quote: str, limits: ReadLimits, *, first_line: int = 1) -> None:
        self._delimiter = ord(delimiter)
        self._quote = ord(quote) if quote else -1
        self._limits = limits
        self._carry = b""
        self._next_line = first_line

    def feed(self, chunk: bytes, *, is_last: bool = False) -> Records | None:
        """Raises: TableFormatError nul_byte, cell_too_long; IrregularQuotes."""
        data = self._carry + chunk if self._carry else chunk
        if is_last and data and not data.endswith(b"\n"):
            data += b"\n"
        if not data:
            return None
        codes = np.frombuffer(data, dtype=np.uint8)
        has_quotes = self._quote >= 0 and bytes((self._quote,)) in data
        mask = (codes == self._delimiter) | (codes == _NEWLINE)
        if has_quotes:
            mask |= codes == self._quote
        tokens = np.flatnonzero(mask)
        kinds = codes[tokens]
        structural = np.ones(len(tokens), dtype=bool)
        if has_quotes:
            is_quote = kinds == self._quote
            is_open = (np.cumsum(is_quote) & 1).astype(bool)
            structural = ~is_quote & ~is_open
        is_end = structural & (kinds == _NEWLINE)
        num_complete = int(tokens[is_end][-1]) + 1 if is_end.any() else 0
        self._carry = data[num_complete:]
        if is_last and self._carry:
            raise IrregularQuotes
        if not num_complete:
            self._refuse_endless_record()
            return None
        if has_quotes:
            self._check_quotes(codes, tokens[is_quote & (tokens < num_complete)], num_complete)
        records = self._cut(data, codes, tokens, kinds, structural, is_end)
        self._check_cells(records, tokens[structural & (tokens < num_complete)])
        return records

    def _cut(
        self,
        data: bytes,
        codes: np.ndarray,
        tokens: np.ndarray,
        kinds: np.ndarray,
        structural: np.ndarray,
        is_end: np.ndarray,
    ) -> Records:
        newlines = tokens[is_end]
        starts = np.concatenate([[0], newlines[:-1] + 1])
        num_delimiters = np.cumsum(structural & (kinds == self._delimiter))[is_end]
        num_newlines = np.cumsum(kinds == _NEWLINE)[is_end]
        lines = self._next_line + np.concatenate([[0], num_newlines[:-1]])
        self._next_line += int(num_newlines[-1])
        has_return = (newlines > starts) & (codes[np.maximum(newlines - 1, 0)] == _RETURN)
        if (nul := data.find(b"\0", 0, int(newlines[-1]))) >= 0:
            line = int(lines[np.searchsorted(newlines, nul)])
            raise TableFormatError(
                f"Line {line} holds a NUL byte, which no text has. Write the file again, or name its encoding if it is "
                "UTF-16.",
                code="nul_byte", line=line,
            )  # fmt: skip
        return Records(
            data=data,
            starts=starts,
            ends=newlines - has_return,
            num_fields=np.diff(num_delimiters, prepend=0) + 1,
            lines=lines,
        )

    def _check_quotes(self, codes: np.ndarray, quotes: np.ndarray, num_complete: int) -> None:
        """Every other quote opens; `quotes`: int64 positions, an even number of them."""
        opening, closing = quotes[0::2], quotes[1::2]
        before = codes[np.maximum(opening - 1, 0)]
        after = codes[np.minimum(closing + 1, num_complete - 1)]
        after_next = codes[np.minimum(closing + 2, num_complete - 1)]
        opens = (opening == 0) | (before == self._delimiter) | (before == _NEWLINE) | (before == self._quote)
        closes = (after == self._delimiter) | (after == _NEWLINE) | (after == self._quote)
        closes |= (after == _RETURN) & (after_next == _NEWLINE)
        # A quote before an opening one is its pair, and must then be a closing quote right before it.
        doubled = before == self._quote
        paired = np.concatenate([[False], closing[:-1] == opening[1:] - 1]) if len(opening) else doubled
        if not (opens.all() and closes.all() and (~doubled | paired | (opening == 0)).all()):
            raise IrregularQuotes

    def _check_cells(self, records: Records, separators: np.ndarray) -> None:
        """No cell beyond the cap; `separators`: positions of the delimiters and line ends between cells."""
        num_bytes = np.diff(separators, prepend=-1) - 1
        for cell in np.flatnonzero(num_bytes > self._limits.max_cell_chars):
            end = int(separators[cell])
            text = records.data[end - int(num_bytes[cell]) : end].decode("utf-8")
            if len(text) > self._limits.max_cell_chars:
                record = int(np.searchsorted(records.ends, end))
                record = min(record, len(records) - 1)
                self._refuse_long_cell(int(records.lines[record]), len(text))

    def _refuse_endless_record(self) -> None:
        if len(self._carry) > _MAX_RECORD_BYTES:
            self._refuse_long_cell(self._next_line, len(self._carry))

    def _refuse_long_cell(self, line: int, num_chars: int) -> None:
        raise TableFormatError(
            f"A cell of the record that starts on line {line} has {num_chars:,} characters; at most "
            f"{self._limits.max_cell_chars:,} are allowed. An unclosed quote makes such cells; else shorten or leave "
            "out the column.",
            code="cell_too_long", line=line,
        )  # fmt: skip
