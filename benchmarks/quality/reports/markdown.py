"""Markdown tables, and their place in a document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """What a part came to: plain JSON, and lines of Markdown."""

    body: dict[str, Any]
    lines: Sequence[str] = field(default=())


class MarkersError(Exception):
    """A document has no place for a part's tables."""


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """With an empty line after it."""
    lines = [_row(header), "|" + "---|" * len(header)]
    return [*lines, *(_row(row) for row in rows), ""]


def labels_text(labels: int | None) -> str:
    return "all labels" if labels is None else f"{labels:,} labels"


def insert(document: Path, part: str, lines: Sequence[str]) -> None:
    """Puts the lines between the part's two markers.

    Raises:
        MarkersError: they are not there, each once and in order.
    """
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    text = document.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise MarkersError(f"{document.name} needs the lines {begin} and {end}, each once and in this order")
    before, rest = text.split(begin)
    _, after = rest.split(end)
    body = "\n".join(lines).strip("\n")
    document.write_text(f"{before}{begin}\n\n{body}\n\n{end}{after}", encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
