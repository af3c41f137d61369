"""Rules for column names, the same for every format."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from models.errors import TableFormatError
from models.features.reading.options import ReadLimits
from models.features.schema import RESERVED_COLUMNS


def check_column_count(num_columns: int, limits: ReadLimits, *, line: int | None) -> None:
    """Raises: TableFormatError too_many_columns."""
    if num_columns > limits.max_columns:
        raise TableFormatError(
            f"A table has at most {limits.max_columns:,} columns; this one has {num_columns:,}. Leave columns out "
            "before sending it.",
            code="too_many_columns", line=line, num_columns=num_columns,
        )  # fmt: skip


def check_column_names(names: Sequence[str], limits: ReadLimits, *, line: int | None) -> None:
    """`line`: physical line of the header, None where there is none.

    Raises: TableFormatError too_many_columns, invalid_column_name, duplicate_column.
    """
    check_column_count(len(names), limits, line=line)
    for position, name in enumerate(names, start=1):
        fault = _fault_of(name, limits)
        if fault is not None:
            raise TableFormatError(
                f"Column {position}{_at(line)} {fault}. Rename it in the file.",
                code="invalid_column_name", line=line, position=position,
            )  # fmt: skip
    first_position: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        if name in first_position:
            raise TableFormatError(
                f"Column names must differ; {name!r}{_at(line)} names columns {first_position[name]} and {position}. "
                "Rename one of them.",
                code="duplicate_column", line=line, column=name, position=position,
            )  # fmt: skip
        first_position[name] = position


def _fault_of(name: str, limits: ReadLimits) -> str | None:
    if not name.strip():
        return "has no name"
    if len(name) > limits.max_name_chars:
        return f"has a name of {len(name):,} characters; {limits.max_name_chars} are allowed"
    if name in RESERVED_COLUMNS:
        return f"is called {name!r}, which is reserved ({', '.join(RESERVED_COLUMNS)})"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        return "has a control character in its name"
    return None


def _at(line: int | None) -> str:
    return "" if line is None else f" (line {line})"
