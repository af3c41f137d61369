"""What a table holds, column by column, with warnings and proposals: counts first, and the values a reader needs.

The profile is shown to those who may read the table. Most frequent values are listed for columns with few
distinct ones only, and only if at least two rows have them: never for keys, identifiers and free text. Ends and
quantiles of numbers and dates are values of single rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from models.features.codec_fitting import CodecConfig
from models.features.proposals import find_proposals
from models.features.schema import (
    RESERVED_COLUMNS,
    SPLIT_COLUMN,
    ColumnKind,
    ColumnSchema,
    Role,
    TableSchema,
)
from models.features.sentinels import numeric_sentinel, text_sentinels

JsonObject = dict[str, Any]

_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_TOP_VALUES = 10
_MAX_VALUE_CHARS = 80
_MOSTLY_NULL = 0.9
_NEAR_UNIQUE = 0.95
MIN_COUNT = CodecConfig().min_count
"""Values of fewer rows are listed nowhere: what an encoder does not keep of a person, a profile does not show either."""

_UNLISTED = frozenset({ColumnKind.IDENTIFIER, ColumnKind.TEXT, ColumnKind.IP_ADDRESS})


def profile_table(frame: pl.DataFrame, schema: TableSchema) -> JsonObject:
    """`frame`: the snapshot's columns, with `_split` where it has been assigned. The result is plain JSON (no NaN):
    {"num_rows", "columns": {name: {...}}, "warnings", "proposals", "duplicates", "splits"}."""
    columns = {column.name: profile_column(frame[column.name], column) for column in schema.columns}
    duplicates = _num_duplicates(frame, schema)
    splits = _splits(frame)
    return {
        "num_rows": frame.height,
        "columns": columns,
        "warnings": _table_warnings(frame.height, duplicates, splits, schema),
        "proposals": find_proposals(frame, schema, columns),
        "duplicates": duplicates,
        "splits": splits,
    }


def profile_column(column: pl.Series, schema: ColumnSchema) -> JsonObject:
    """{"kind", "role", "storage_type", "evidence", "count" (non-null), "nulls", "distinct", "quantiles"? |
    "top_values"?, "range"?, "warnings"}."""
    values = column.drop_nulls()
    num_distinct = values.n_unique() if len(values) else 0
    entry: JsonObject = {
        "kind": schema.kind.value,
        "role": schema.role.value,
        "storage_type": schema.storage_type,
        "evidence": schema.evidence,
        "count": len(values),
        "nulls": column.null_count(),
        "distinct": num_distinct,
    }
    if len(values):
        entry.update(_statistics(values, schema))
    entry["warnings"] = _column_warnings(values, schema, num_rows=len(column), num_distinct=num_distinct)
    return entry


def _statistics(values: pl.Series, schema: ColumnSchema) -> JsonObject:
    if schema.storage_type in ("date", "datetime"):
        return {"range": [_json_value(values.min()), _json_value(values.max())]}
    if schema.storage_type in ("integer", "float") and schema.kind is ColumnKind.CONTINUOUS:
        quantiles = np.quantile(values.to_numpy(), _QUANTILES)
        return {
            "quantiles": {
                f"{quantile:g}": float(value) for quantile, value in zip(_QUANTILES, quantiles, strict=True)
            },
            "mean": _finite(values.mean()),
            "std": _finite(values.std()) if len(values) > 1 else 0.0,
        }
    if schema.kind in _UNLISTED or schema.role is Role.KEY:
        return {}
    # Equal counts in order of value: the same profile from the same rows.
    top = (
        values.value_counts(name="count")
        .filter(pl.col("count") >= MIN_COUNT)
        .sort(["count", values.name], descending=[True, False])
        .head(_TOP_VALUES)
    )
    return {"top_values": [{"value": _json_value(value), "count": count} for value, count in top.iter_rows()]}


def _column_warnings(
    values: pl.Series, schema: ColumnSchema, *, num_rows: int, num_distinct: int
) -> list[str]:
    warnings = []
    if num_distinct == 0:
        return ["No values at all: the column is not used."]
    if schema.kind is ColumnKind.CONSTANT:
        warnings.append("One value throughout: the column is not used.")
    missing = 1.0 - len(values) / num_rows
    if missing >= _MOSTLY_NULL:
        warnings.append(f"{missing:.1%} of the rows have no value.")
    is_listed = schema.storage_type == "string" and schema.kind in (
        ColumnKind.CATEGORICAL,
        ColumnKind.IDENTIFIER,
    )
    if (
        is_listed
        and schema.role is Role.FEATURE
        and len(values) >= 20
        and num_distinct >= _NEAR_UNIQUE * len(values)
    ):
        warnings.append("Nearly every row has its own value: it identifies rows rather than describing them.")
    if schema.storage_type in ("integer", "float") and schema.kind is ColumnKind.CONTINUOUS:
        sentinel = numeric_sentinel(values)
        if sentinel is not None:
            warnings.append(
                f"{sentinel.num_rows:,} rows hold {sentinel.value:g}, far from all other values: perhaps it stands for "
                "missing. Replace it by an empty cell if so."
            )
    if schema.storage_type == "string":
        warnings.extend(_text_warnings(values))
    return warnings


def _text_warnings(values: pl.Series) -> list[str]:
    warnings = []
    distinct = values.unique()
    num_blank_twins = len(distinct) - distinct.str.strip_chars().n_unique()
    if num_blank_twins:
        warnings.append(f"{num_blank_twins:,} values differ from another only by blanks around them.")
    spellings = text_sentinels(distinct)
    if spellings:
        count = int(values.is_in(spellings).sum())
        warnings.append(
            f"{count:,} rows hold {', '.join(repr(text) for text in spellings)}, kept as a level: perhaps it stands "
            "for missing."
        )
    return warnings


def _table_warnings(num_rows: int, duplicates: int, splits: dict[str, int], schema: TableSchema) -> list[str]:
    warnings = []
    if duplicates:
        warnings.append(
            f"{duplicates:,} of {num_rows:,} rows repeat an earlier row in every column (keys aside)."
        )
    if splits and splits["evaluation"] == 0:
        warnings.append("No row is set aside for evaluation: heads are judged out of fold only.")
    if splits and splits["train"] == 0:
        warnings.append(
            "All rows are set aside for evaluation: nothing is left to train on. Choose another split."
        )
    if num_rows < 100:
        warnings.append(f"The table has only {num_rows} rows: an encoder learns little from so few.")
    if not schema.encoded:
        kinds = sorted({column.kind.value for column in schema.with_role(Role.FEATURE)})
        warnings.append(f"No feature column has a kind the encoder uses today (found: {', '.join(kinds)}).")
    return warnings


def _num_duplicates(frame: pl.DataFrame, schema: TableSchema) -> int:
    """Rows equal to an earlier one in all columns that are no key."""
    keys = {column.name for column in schema.with_role(Role.KEY)}
    names = [name for name in frame.columns if name not in keys and name not in RESERVED_COLUMNS]
    if not names:
        return 0
    return frame.height - frame.select(names).hash_rows().n_unique()


def _splits(frame: pl.DataFrame) -> dict[str, int]:
    if SPLIT_COLUMN not in frame.columns:
        return {}
    num_evaluation = int((frame[SPLIT_COLUMN] == "evaluation").sum())
    return {"train": frame.height - num_evaluation, "evaluation": num_evaluation}


def _json_value(value: object) -> object:
    if isinstance(value, str):
        return value if len(value) <= _MAX_VALUE_CHARS else value[: _MAX_VALUE_CHARS - 1] + "…"
    return value if isinstance(value, bool | int | float) or value is None else str(value)


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None
