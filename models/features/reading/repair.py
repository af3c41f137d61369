"""Repairs that lose nothing (blank lines, empty cells past the last column), and the refusal of ragged rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.errors import TableFormatError
from models.features.reading.records import Records


@dataclass
class Repairs:
    """Counts over the whole file, with the first line of each."""

    num_blank: int = 0
    first_blank: int = 0
    num_trimmed: int = 0
    first_trimmed: int = 0
    num_skipped: int = 0
    first_skipped: int = 0
    is_header_seen: bool = False

    def warnings(self) -> list[str]:
        found = []
        if self.num_blank:
            found.append(
                f"{self.num_blank:,} empty lines were left out, the first is line {self.first_blank}."
            )
        if self.num_trimmed:
            found.append(
                f"{self.num_trimmed:,} rows had empty cells past the last column, which were left out; the first is "
                f"on line {self.first_trimmed}."
            )
        if self.num_skipped:
            found.append(
                f"{self.num_skipped:,} rows with a wrong number of fields were skipped as asked; the first is on line "
                f"{self.first_skipped}."
            )
        return found


def repaired(
    records: Records,
    delimiter: bytes,
    num_fields: int,
    repairs: Repairs,
    *,
    skips_ragged: bool,
    header_line: int | None,
) -> tuple[bytes, np.ndarray]:
    """The rows of `records` as bytes in which each has `num_fields` fields, and int64 lines [rows].

    The first record that is not blank is the header when `header_line` is given, and left out.

    Raises: TableFormatError ragged_row.
    """
    lengths = records.ends - records.starts
    is_blank = (records.num_fields == 1) & (lengths == 0)
    if num_fields > 1:
        is_blank |= (records.num_fields == num_fields) & (lengths == num_fields - 1)
    is_header = np.zeros(len(records), dtype=bool)
    ends = records.ends
    cuts: dict[int, int] = {}
    is_skipped = np.zeros(len(records), dtype=bool)
    if header_line is not None and not repairs.is_header_seen:
        header = _header_of(records)
        if header is None:
            return b"", np.empty(0, dtype=np.int64)
        is_header[: header + 1] = True
        repairs.is_header_seen = True
    for row in np.flatnonzero((records.num_fields != num_fields) & ~is_blank & ~is_header):
        cut = _without_trailing_empties(records, int(row), delimiter, num_fields)
        if cut is None and skips_ragged:
            is_skipped[row] = True
        elif cut is None:
            _refuse_ragged(records, int(row), num_fields, header_line)
        elif cut == int(records.starts[row]) or not records.data[int(records.starts[row]) : cut].strip(
            delimiter + b" \t"
        ):
            is_blank[row] = True
        else:
            cuts[int(row)] = cut
    _count(repairs, records.lines, is_blank & ~is_header, np.fromiter(cuts, dtype=np.int64), is_skipped)
    keep = ~(is_blank | is_header | is_skipped)
    if cuts:
        ends = ends.copy()
        ends[list(cuts)] = list(cuts.values())
    return _joined(records, ends, keep, has_cuts=bool(cuts)), records.lines[keep]


def _header_of(records: Records) -> int | None:
    """Index of the first record with any text: leading blank lines are passed over."""
    for row in range(len(records)):
        if records.data[int(records.starts[row]) : int(records.ends[row])].strip(b" \t,;|\r"):
            return row
    return None


def _without_trailing_empties(records: Records, row: int, delimiter: bytes, num_fields: int) -> int | None:
    """End of the record without its surplus empty cells; its start where it is blank; None where it is ragged."""
    start, end = int(records.starts[row]), int(records.ends[row])
    content = records.data[start:end]
    if not content.strip():
        return start
    surplus = int(records.num_fields[row]) - num_fields
    if surplus <= 0:
        return None
    trimmed = content.rstrip(b" ")
    if not trimmed.endswith(delimiter * surplus):
        return None
    return start + len(trimmed) - surplus * len(delimiter)


def _joined(records: Records, ends: np.ndarray, keep: np.ndarray, *, has_cuts: bool) -> bytes:
    if not keep.any():
        return b""
    if not has_cuts:
        kept = np.flatnonzero(np.diff(np.concatenate([[False], keep, [False]])))
        nexts = np.append(records.starts[1:], _end_of(records))
        return b"".join(
            records.data[int(records.starts[first]) : int(nexts[last - 1])]
            for first, last in zip(kept[0::2], kept[1::2], strict=True)
        )
    return b"\n".join(
        records.data[int(records.starts[row]) : int(ends[row])] for row in np.flatnonzero(keep)
    ) + b"\n"  # fmt: skip


def _end_of(records: Records) -> int:
    return records.data.index(b"\n", int(records.ends[-1])) + 1


def _count(
    repairs: Repairs, lines: np.ndarray, is_blank: np.ndarray, trimmed: np.ndarray, is_skipped: np.ndarray
) -> None:
    if is_blank.any():
        repairs.first_blank = repairs.first_blank or int(lines[is_blank][0])
        repairs.num_blank += int(is_blank.sum())
    if len(trimmed):
        repairs.first_trimmed = repairs.first_trimmed or int(lines[trimmed[0]])
        repairs.num_trimmed += len(trimmed)
    if is_skipped.any():
        repairs.first_skipped = repairs.first_skipped or int(lines[is_skipped][0])
        repairs.num_skipped += int(is_skipped.sum())


def _refuse_ragged(records: Records, row: int, num_fields: int, header_line: int | None) -> None:
    line, received = int(records.lines[row]), int(records.num_fields[row])
    reference = "the first row" if header_line is None else "the header"
    raise TableFormatError(
        f"Line {line} has {received} fields; {reference} has {num_fields}. An unquoted delimiter or a line end inside "
        'a cell makes such rows: repair the line, or say {"ragged_rows": "skip"} to leave such rows out.',
        code="ragged_row", line=line, num_fields=received, expected=num_fields,
    )  # fmt: skip
