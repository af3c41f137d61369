"""Infers the kind of every column from its stored type, its values and, last, its name.

Kinds never change what is stored. Every decision carries its evidence: counts and shares, no cell contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from models.errors import SchemaError
from models.features.kind_checks import kind_fault
from models.features.numeric_kinds import numeric_kind
from models.features.schema import (
    RESERVED_COLUMNS,
    ColumnKind,
    ColumnOverride,
    ColumnSchema,
    Role,
    StorageType,
    TableSchema,
)
from models.features.text_kinds import text_kind

_SINGLE_ROLES = (Role.GROUP, Role.TIME, Role.WEIGHT)


@dataclass(frozen=True)
class InferredKind:
    kind: ColumnKind
    evidence: str


def storage_type_of(dtype: pl.DataType) -> StorageType:
    """Raises: SchemaError where the dtype is not one that reading gives."""
    by_dtype: dict[type[pl.DataType], StorageType] = {
        pl.String: "string",
        pl.Int64: "integer",
        pl.Float64: "float",
        pl.Boolean: "boolean",
        pl.Date: "date",
        pl.Datetime: "datetime",
    }
    storage = by_dtype.get(type(dtype))
    if storage is None:
        raise SchemaError(f"A stored column cannot have the type {dtype}.", code="unsupported_column_type")
    return storage


def infer_schema(frame: pl.DataFrame, overrides: Mapping[str, ColumnOverride]) -> TableSchema:
    """`frame`: canonical columns as `reading.read_table` gives them; `_row`, `_key`, `_split` are passed over.

    Raises: SchemaError unknown_column, incompatible_kind, too_many_columns_in_role, no_features.
    """
    names = [name for name in frame.columns if name not in RESERVED_COLUMNS]
    unknown = sorted(set(overrides) - set(names))
    if unknown:
        listed = ", ".join(repr(name) for name in unknown[:5])
        raise SchemaError(
            f"The table has no column {listed}{' and others' if len(unknown) > 5 else ''}. Check the spelling; "
            "names are case-sensitive.",
            code="unknown_column", column=unknown[0],
        )  # fmt: skip
    columns = tuple(_column(frame[name], overrides.get(name, ColumnOverride())) for name in names)
    schema = TableSchema(columns=columns)
    check_roles(schema)
    return schema


def infer_kind(column: pl.Series) -> InferredKind:
    """`column`: one canonical column with its name."""
    num_values = len(column) - column.null_count()
    if num_values == 0:
        return InferredKind(ColumnKind.CONSTANT, "no values at all")
    num_distinct = column.drop_nulls().n_unique()
    if num_distinct == 1 and column.null_count() == 0:
        return InferredKind(ColumnKind.CONSTANT, f"one value in all {num_values:,} rows")
    storage = storage_type_of(column.dtype)
    if storage in ("date", "datetime"):
        return InferredKind(ColumnKind.DATETIME, f"stored as {storage}")
    if storage == "boolean":
        return InferredKind(ColumnKind.BOOLEAN, "true and false")
    if num_distinct == 1:  # whether a value is there is what such a column says
        return InferredKind(
            ColumnKind.CATEGORICAL, f"one value in {num_values:,} rows, missing in the others"
        )
    if storage == "string":
        return InferredKind(*text_kind(column, num_values, num_distinct))
    return InferredKind(*numeric_kind(column, num_values, num_distinct))


def check_roles(schema: TableSchema) -> None:
    """Raises: SchemaError too_many_columns_in_role, invalid_role, no_features."""
    for role in _SINGLE_ROLES:
        columns = schema.with_role(role)
        if len(columns) > 1:
            raise SchemaError(
                f"At most one column may have the role {role.value}; {len(columns)} have it.",
                code="too_many_columns_in_role", column=columns[1].name,
            )  # fmt: skip
    for column in schema.with_role(Role.WEIGHT):
        if column.storage_type not in ("integer", "float"):
            raise SchemaError(
                f"A weight is a number; column {column.name!r} is stored as {column.storage_type}.",
                code="invalid_role", column=column.name,
            )  # fmt: skip
    if not schema.with_role(Role.FEATURE):
        raise SchemaError("No column has the role feature; at least one must.", code="no_features")


def _column(column: pl.Series, override: ColumnOverride) -> ColumnSchema:
    inferred = infer_kind(column)
    storage = storage_type_of(column.dtype)
    if override.kind is not None:
        check_kind(column, storage, override.kind)
    return ColumnSchema(
        name=column.name,
        kind=override.kind or inferred.kind,
        role=override.role or Role.FEATURE,
        storage_type=storage,
        evidence=inferred.evidence if override.kind is None else f"set by the caller; inferred {inferred.kind.value}: {inferred.evidence}",
        kind_source="inferred" if override.kind is None else "override",
    )  # fmt: skip


def check_kind(column: pl.Series, storage: StorageType, kind: ColumnKind) -> None:
    """Whether the stored values can be read as `kind`. Raises: SchemaError incompatible_kind."""
    fault = kind_fault(column, storage, kind)
    if fault is not None:
        raise SchemaError(
            f"Column {column.name!r} cannot be {kind.value}: it {fault}.",
            code="incompatible_kind",
            column=column.name,
        )
