"""What a user sees: results on stdout, everything else on stderr, nothing that could steer the terminal.

Names and messages come from files and services; control characters in them (escape sequences) are shown as
`�`, and rich markup in them is text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)")
_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_PIPE_WIDTH = 200  # a table that goes to a file or another program is not cut at a terminal's width


def clean(value: object) -> str:
    """A value as one line of text."""
    return _CONTROL.sub("�", str(value)).replace("\n", " ").replace("\t", " ")


def _console(stream: IO[str]) -> Console:
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(
        file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not stream.isatty()
    )


def results() -> Console:
    return _console(sys.stdout)


def messages() -> Console:
    return _console(sys.stderr)


def say(message: str, *, style: str | None = None) -> None:
    """A line on stderr: progress, notes, what to do next."""
    messages().print(Text("\n".join(map(clean, message.split("\n"))), style=style or ""))


def show_json(value: Any) -> None:
    """Machine output; never coloured, never wrapped."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def json_line(value: Any) -> str:
    """One object as one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """Rows with a header; None is shown as nothing, numbers are aligned to the right. No rows are "none"."""
    listed = [list(row) for row in rows]
    if not listed:
        results().print(Text("none" if title is None else f"{clean(title)}: none"))
        return
    table = Table(
        title=None if title is None else Text(clean(title)), title_justify="left", header_style="bold"
    )
    for position, name in enumerate(columns):
        cells = [row[position] for row in listed if row[position] is not None]
        is_number = bool(cells) and all(
            isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells
        )
        table.add_column(Text(clean(name)), justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        # A key of digits is a name, not a number.
        table.add_row(
            *(
                Text(clean(cell) if name == "key" and isinstance(cell, int) else cell_text(cell))
                for name, cell in zip(columns, row, strict=True)
            )
        )
    results().print(table)


def show_fields(fields: Mapping[str, object]) -> None:
    """Name and value, one pair a line."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        table.add_row(Text(clean(name), style="bold"), Text(cell_text(value)))
    results().print(table)


def cell_text(value: object) -> str:
    """`yes` and `no`, four significant digits, thousands with commas, times to the second, line breaks as `↵`, lists
    with commas, what is nested in lists and mappings as compact JSON; None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 999.5 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_nested_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{clean(name)}: {_nested_text(item)}" for name, item in value.items())
    instant = _INSTANT.fullmatch(value) if isinstance(value, str) else None
    return f"{instant[1]} {instant[2]}Z" if instant else clean(_LINE_BREAK.sub("↵", str(value)))


def _nested_text(value: object) -> str:
    if not isinstance(value, dict | list | tuple):
        return cell_text(value)
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str))
