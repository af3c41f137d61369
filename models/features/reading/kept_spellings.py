"""Spellings of "no value" that a table holds as values: `None` of a column that came from Parquet is a level in a CSV too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from models.features.reading.options import NULL_SPELLINGS


@dataclass(frozen=True)
class SettledFrame:
    frame: pl.DataFrame
    warnings: list[str] = field(default_factory=list)


def held_spellings(columns: Iterable[pl.Series]) -> dict[str, frozenset[str]]:
    """Text columns by name -> which of the default null spellings are among their values."""
    held: dict[str, frozenset[str]] = {}
    for column in columns:
        if column.dtype != pl.String:
            continue
        found = column.filter(column.is_in(NULL_SPELLINGS)).unique()
        if spellings := frozenset(spelling for spelling in found if spelling):
            held[column.name] = spellings
    return held


def settle_kept(
    frame: pl.DataFrame, names: Sequence[str], kept: Mapping[str, frozenset[str]], quoted_mark: str
) -> SettledFrame:
    """`frame`: String columns of a file named `names` (unnamed ones follow), in which every spelling that any column
    keeps was read as text. Makes it null again where its column does not keep it, or where the column also has it in
    quotes (ending in `quoted_mark`), so that the file tells the two apart itself."""
    everywhere = frozenset[str]().union(*kept.values())
    if not everywhere:
        return SettledFrame(frame)
    warnings: list[str] = []
    columns = frame.get_columns()
    for position, column in enumerate(columns):
        name = names[position] if position < len(names) else None
        stays = kept.get(name, frozenset()) if name is not None else frozenset()
        stays = frozenset(spelling for spelling in stays if not (column == spelling + quoted_mark).any())
        if gone := sorted(everywhere - stays):
            columns[position] = column.set(column.is_in(gone).fill_null(value=False), None)
        counts = {spelling: int((column == spelling).sum() or 0) for spelling in sorted(stays)}
        if any(counts.values()):
            listed = ", ".join(f'{count:,} "{spelling}"' for spelling, count in counts.items() if count)
            warnings.append(
                f'Column {name!r}: cells that read like "no value" were taken as values, which the table holds already '
                f"({listed}). If they are missing, name them in the reading option null_values."
            )
    return SettledFrame(pl.DataFrame(columns), warnings)
