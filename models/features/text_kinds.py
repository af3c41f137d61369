"""Kinds of columns stored as text."""

from __future__ import annotations

import polars as pl

from models.features.column_names import names_identifier, names_postal_code
from models.features.derived.ip_address import is_address
from models.features.moments import moment_share
from models.features.schema import ColumnKind

_SAMPLE = 2_000  # distinct values, evenly spaced: patterns need no more
_PATTERN_SHARE = 0.95
_MIN_ROWS_FOR_IDENTIFIER = 20
_NEAR_UNIQUE = 0.95
_TEXT_DISTINCT = 0.3
_TEXT_WORDS = 4.0
_POSTAL = r"^(?:\d{4,5}|\d{5}-\d{4}|\d{5}-\d{3}|\d{3}-\d{4}|\d{6}|\d{4} ?[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2})$"


def text_kind(column: pl.Series, num_values: int, num_distinct: int) -> tuple[ColumnKind, str]:
    """`column`: String with at least two distinct values."""
    distinct = column.drop_nulls().unique(maintain_order=True)
    sample = distinct.gather_every(max(1, len(distinct) // _SAMPLE)).head(_SAMPLE)
    counts = f"{num_distinct:,} distinct among {num_values:,} values"
    if _share(sample, r"[.:]") >= _PATTERN_SHARE and _ip_share(sample) >= _PATTERN_SHARE:
        return ColumnKind.IP_ADDRESS, f"addresses, {counts}"
    moments = moment_share(sample)
    if moments >= _PATTERN_SHARE:
        return ColumnKind.DATETIME, f"{moments:.0%} of the values are dates or times, {counts}"
    if names_postal_code(column.name):
        postal = _share(sample.str.strip_chars().str.to_uppercase(), _POSTAL)
        if postal >= _PATTERN_SHARE:
            return (
                ColumnKind.POSTAL_CODE,
                f"named like a postal code and {postal:.0%} of the values look like one, {counts}",
            )
    share = num_distinct / num_values
    words = 1 + int(sample.str.strip_chars().str.count_matches(r"\s+").sum()) / len(sample)
    if num_distinct >= _MIN_ROWS_FOR_IDENTIFIER and share >= _TEXT_DISTINCT and words >= _TEXT_WORDS:
        return ColumnKind.TEXT, f"{words:.1f} words per value, {counts}"
    if num_values >= _MIN_ROWS_FOR_IDENTIFIER and share >= _NEAR_UNIQUE:
        return ColumnKind.IDENTIFIER, f"nearly every value differs, {counts}"
    if num_values >= _MIN_ROWS_FOR_IDENTIFIER and share >= 0.5 and names_identifier(column.name):
        return ColumnKind.IDENTIFIER, f"named like an id, {counts}"
    return ColumnKind.CATEGORICAL, f"text with repeated values, {counts}"


def _share(sample: pl.Series, pattern: str) -> float:
    return int(sample.str.contains(pattern).sum()) / len(sample)


def _ip_share(sample: pl.Series) -> float:
    return sum(map(is_address, sample.to_list())) / len(sample)
