"""Kinds and roles of the next snapshot: what the table says of its columns stays, what is new is told by its values."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from models.errors import SchemaError
from models.features.kinds import check_kind, check_roles, infer_kind, infer_schema, storage_type_of
from models.features.schema import ColumnKind, ColumnOverride, ColumnSchema, Role, TableSchema

FIXED_ROLES = frozenset({Role.KEY, Role.GROUP, Role.TIME})
"""Keys and sides of stored rows follow from them."""


def next_schema(
    frame: pl.DataFrame, before: TableSchema, overrides: Mapping[str, ColumnOverride]
) -> tuple[TableSchema, dict[str, ColumnKind]]:
    """The schema of `frame`, whose columns are in order, and what kinds its values suggest where they are not taken.

    A column keeps its kind as long as its stored type stays and its values can have that kind; a constant column that
    is none any more gets a kind.

    Raises: SchemaError incompatible_kind, role_is_fixed, too_many_columns_in_role, invalid_role, no_features.
    """
    columns: list[ColumnSchema] = []
    suggested: dict[str, ColumnKind] = {}
    for name in frame.columns:
        said = overrides.get(name, ColumnOverride())
        if name not in before:
            columns.append(_new(frame[name], said))
            continue
        column = _kept(frame[name], before[name], said)
        inferred = infer_kind(frame[name])
        if column.kind is not inferred.kind and column.kind_source == "inferred" and column == before[name]:
            suggested[name] = inferred.kind
        columns.append(column)
    schema = TableSchema(columns=tuple(columns))
    check_roles(schema)
    return schema, suggested


def check_overrides(before: TableSchema, overrides: Mapping[str, ColumnOverride]) -> None:
    """Raises: SchemaError role_is_fixed."""
    for name, said in overrides.items():
        was = before[name].role if name in before else Role.FEATURE
        if said.role is None or said.role is was:
            continue
        for fixed in (was, said.role):
            if fixed in FIXED_ROLES:
                raise SchemaError(
                    f"The role of {name!r} cannot change from {was} to {said.role}: keys and sides of the stored rows "
                    f"follow from columns with the role {fixed}. Register the file as a table of its own.",
                    code="role_is_fixed", column=name,
                )  # fmt: skip


def _new(column: pl.Series, said: ColumnOverride) -> ColumnSchema:
    told = infer_schema(column.to_frame(), {column.name: ColumnOverride(kind=said.kind)})[column.name]
    return told.model_copy(update={"role": said.role or Role.FEATURE})


def _kept(column: pl.Series, before: ColumnSchema, said: ColumnOverride) -> ColumnSchema:
    role = said.role or before.role
    if said.kind is not None and said.kind is not before.kind:
        return _new(column, ColumnOverride(kind=said.kind, role=role))
    storage = storage_type_of(column.dtype)
    if storage == before.storage_type and not _is_outgrown(column, before):
        return before if role is before.role else before.model_copy(update={"role": role})
    kind = before.kind if before.kind_source == "override" else None
    try:
        return _new(column, ColumnOverride(kind=kind, role=role))
    except SchemaError:  # the kind that was set does not fit the new type
        return _new(column, ColumnOverride(role=role))


def _is_outgrown(column: pl.Series, before: ColumnSchema) -> bool:
    """Whether the values cannot have the kind any more."""
    if before.kind is ColumnKind.CONSTANT and before.kind_source == "inferred":
        return infer_kind(column).kind is not ColumnKind.CONSTANT
    try:
        check_kind(column, before.storage_type, before.kind)
    except SchemaError:
        return True
    return False
