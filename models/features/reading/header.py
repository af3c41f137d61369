"""Tells a header from a row of data, and finds a second header below the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from models.errors import TableFormatError
from models.features.reading.options import NULL_SPELLINGS

_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?%?")
_MIN_ROWS = 5
_NULLS = frozenset(NULL_SPELLINGS)


def refuse_missing_header(header: Sequence[str], body: Sequence[Sequence[str]], *, line: int) -> None:
    """A first record that is itself a row must not become names.

    It is taken for a row when at least two and half of its cells stand again in their own column below
    (a name practically never does), or when all its cells and all columns are numbers that are no plain
    numbering (1, 2, 3 or 2019, 2020 may be names).

    Raises: TableFormatError missing_header.
    """
    if len(body) < _MIN_ROWS:
        return
    columns = _columns(body, len(header))
    named = [(cell.strip(), column) for cell, column in zip(header, columns, strict=True) if _is_value(cell)]
    num_repeated = sum(cell in column for cell, column in named)
    is_row = num_repeated >= max(2, len(named) / 2)
    if not is_row and len(named) > 1 and all(_NUMBER.fullmatch(cell) for cell, _ in named):
        is_row = all(map(_is_numeric, columns)) and not _is_numbering([cell for cell, _ in named])
    if is_row:
        raise TableFormatError(
            f"Line {line} should name the columns but looks like a row ({num_repeated} of its {len(named)} cells stand "
            'again in their own column below). If the file has no header, say {"has_header": false}; else name the '
            "columns in its first line.",
            code="missing_header", line=line,
        )  # fmt: skip


def refuse_second_header(body: Sequence[Sequence[str]], *, line: int, skip_lines: int) -> None:
    """The first row must not be text above columns of numbers: that is a second header (names, units), which
    would turn every number of the file into text. `line`: of that row; `skip_lines`: what would skip the first.

    Raises: TableFormatError second_header.
    """
    if len(body) <= _MIN_ROWS:
        return
    first, rest = body[0], _columns(body[1:], len(body[0]))
    num_filled = sum(_is_value(cell) for cell in first)
    num_text_over_numbers = sum(
        _is_value(cell) and not _NUMBER.fullmatch(cell.strip()) and _is_numeric(column)
        for cell, column in zip(first, rest, strict=True)
    )
    if num_text_over_numbers >= max(2, num_filled / 2):
        raise TableFormatError(
            f"Line {line} is text in {num_text_over_numbers} columns that hold only numbers below it: a second header. "
            f'If it has the right names, say {{"skip_lines": {skip_lines}}}; else delete the line.',
            code="second_header", line=line,
        )  # fmt: skip


def _columns(body: Sequence[Sequence[str]], num_columns: int) -> list[set[str]]:
    columns: list[set[str]] = [set() for _ in range(num_columns)]
    for record in body:
        for column, cell in zip(columns, record, strict=False):
            if _is_value(cell):
                column.add(cell.strip())
    return columns


def _is_value(cell: str) -> bool:
    return cell.strip() not in _NULLS


def _is_numeric(column: set[str]) -> bool:
    return bool(column) and all(_NUMBER.fullmatch(cell) for cell in column)


def _is_numbering(cells: Sequence[str]) -> bool:
    """Whole numbers that rise by one and the same step, as in unnamed columns or a table of years."""
    if not all(cell.isdigit() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and min(steps) > 0
