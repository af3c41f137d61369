"""Kinds of columns stored as integers or floats."""

from __future__ import annotations

import polars as pl

from models.features.column_names import names_code, names_identifier, names_postal_code
from models.features.schema import ColumnKind

_MIN_ROWS_FOR_IDENTIFIER = 20
_NEAR_UNIQUE = 0.95
_NAMED_IDENTIFIER = 0.5  # `patient_nbr`: a name like an id, and half of its values differ
_MAX_CODES = 1_000


def numeric_kind(column: pl.Series, num_values: int, num_distinct: int) -> tuple[ColumnKind, str]:
    """`column`: Int64 or Float64 with at least two distinct values. An all-distinct float is continuous."""
    values = column.drop_nulls()
    counts = f"{num_distinct:,} distinct among {num_values:,} values"
    low, high = values.min(), values.max()
    if num_distinct == 2 and (low, high) == (0, 1):
        return ColumnKind.BOOLEAN, "only 0 and 1"
    if column.dtype != pl.Int64:
        return ColumnKind.CONTINUOUS, f"numbers with fractions, {counts}"
    assert isinstance(low, int)
    assert isinstance(high, int)
    if names_postal_code(column.name) and low >= 500 and high <= 9_999_999:
        return ColumnKind.POSTAL_CODE, f"named like a postal code, whole numbers of its length, {counts}"
    share = num_distinct / num_values
    if num_values >= _MIN_ROWS_FOR_IDENTIFIER:
        if share >= _NEAR_UNIQUE and _counts_up(values):
            return ColumnKind.IDENTIFIER, f"counts the rows: whole numbers rising by one, {counts}"
        if share >= _NAMED_IDENTIFIER and names_identifier(column.name):
            return ColumnKind.IDENTIFIER, f"named like an id, whole numbers, {counts}"
    if names_code(column.name) and low >= 0 and num_distinct <= min(_MAX_CODES, num_values // 20):
        return ColumnKind.CATEGORICAL, f"named like a code, few whole numbers, {counts}"
    return ColumnKind.CONTINUOUS, f"whole numbers, {counts}"


def _counts_up(values: pl.Series) -> bool:
    """Almost every step from row to row is the same ±1."""
    steps = values.diff().drop_nulls()
    return max(int((steps == 1).sum()), int((steps == -1).sum())) >= 0.99 * len(steps)
