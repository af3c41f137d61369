"""CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import polars as pl

_FORMULA = r"^[=+\-@\t\r|%]"  # what spreadsheets take for a formula, or drop to find one
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts that a spreadsheet would run as a formula get an apostrophe in front; numbers stay as they are."""
    texts = frame.select(pl.col(pl.String)).columns
    is_formula = [pl.col(name).str.contains(_FORMULA) & ~pl.col(name).str.contains(_NUMBER) for name in texts]
    columns = [
        pl.when(check).then(pl.lit("'") + pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name, check in zip(texts, is_formula, strict=True)
    ]
    return frame.with_columns(columns).rename({name: _guarded_name(name) for name in frame.columns})


def _guarded_name(name: str) -> str:
    return f"'{name}" if name[:1] in "=+-@\t\r|%" and name else name
