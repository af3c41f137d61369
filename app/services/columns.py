"""Change kinds and roles: a new schema version over the same snapshot, and what it makes stale."""

from __future__ import annotations

from app.errors import InvalidRequest
from app.schemas.principal import Principal
from app.schemas.tables import ColumnBody, ColumnChange, ColumnsPatch, ColumnsPatched, StaleEncoder
from app.services.lookup import current_schema, encoder_schema, ready_table
from app.services.views import stale_reason
from models.features.kinds import check_kind
from models.features.schema import ColumnSchema, Role, TableSchema
from storage.engine import Database

_FIXED_ROLES = {
    Role.KEY: "the keys of the rows are stored in the snapshot",
    Role.GROUP: "the split into train and evaluation rows follows groups and is stored in the snapshot",
    Role.TIME: "the split into train and evaluation rows may follow time and is stored in the snapshot",
    Role.DROP: "a dropped column is not even stored, and this one is",
}


class ColumnService:
    def __init__(self, database: Database) -> None:
        self._database = database

    def patch(self, principal: Principal, table_name: str, wanted: ColumnsPatch) -> ColumnsPatched:
        """Change columns; encoders keep serving, those that do not fit any more are named.

        Raises: InvalidRequest `unknown_column`, `role_is_fixed`; SchemaError for a kind that the stored values
            cannot have; ResourceConflict `table_not_ready`.
        """
        with self._database.writing() as uow:
            table, _ = ready_table(uow, principal, table_name)
            before = current_schema(uow, table)
            after = changed_schema(before, wanted.columns)
            if after != before:
                rows = [column.model_dump(mode="json") for column in after.columns]
                table = uow.tables.set_columns(table, table.schema_version + 1, rows)
                uow.audit.add(
                    principal.workspace_id,
                    principal.key_id,
                    "table.columns",
                    table.id,
                    {"schema_version": table.schema_version, "columns": sorted(wanted.columns)},
                )
            stale = [
                StaleEncoder(encoder=encoder.version, reason=reason)
                for encoder in uow.encoders.list(table.id)
                if encoder.status in ("pretraining", "ready")
                and (reason := stale_reason(encoder_schema(uow, encoder), after)) is not None
            ]
            used = {
                target.column_name: target.name for target in uow.targets.list(table.id) if target.column_name
            }
        return ColumnsPatched(
            schema_version=table.schema_version,
            columns=[ColumnBody.model_validate(column) for column in after.columns],
            stale=stale,
            warnings=_target_warnings(before, after, used),
        )


def changed_schema(schema: TableSchema, changes: dict[str, ColumnChange]) -> TableSchema:
    """`schema` with the changes; equal to it when they change nothing."""
    unknown = sorted(changes.keys() - set(schema.names))
    if unknown:
        raise InvalidRequest(
            f"The table has no column {unknown[0]!r}; GET the table for its {len(schema.columns)} columns.",
            code="unknown_column",
            details={"columns": unknown[:20]},
        )
    columns = tuple(
        _changed(column, changes[column.name]) if column.name in changes else column
        for column in schema.columns
    )
    return TableSchema(columns=columns)


def _changed(column: ColumnSchema, change: ColumnChange) -> ColumnSchema:
    update: dict[str, object] = {}
    if change.role is not None and change.role is not column.role:
        for role in (column.role, change.role):
            if role in _FIXED_ROLES:
                raise InvalidRequest(
                    f"The role of {column.name!r} cannot change from {column.role} to {change.role}: "
                    f"{_FIXED_ROLES[role]}. Register the file again with that role.",
                    code="role_is_fixed",
                    details={"column": column.name},
                )
        update["role"] = change.role
    if change.kind is not None and change.kind is not column.kind:
        check_kind(column.name, change.kind, column.storage_type)
        update.update(kind=change.kind, kind_source="override", evidence=f"set by request; was {column.kind}")
    return column.model_copy(update=update) if update else column


def _target_warnings(before: TableSchema, after: TableSchema, targets: dict[str, str]) -> list[str]:
    """Roles that work against a target of the table."""
    warnings = []
    for column in after.columns:
        if before[column.name].role is column.role:
            continue
        if column.role is Role.FEATURE and column.name in targets:
            warnings.append(
                f"{column.name} is the column of the target {targets[column.name]!r}: as a feature the next encoder "
                "sees it, and that target's heads are judged on the hold-out only."
            )
        if before[column.name].role is Role.TARGET and column.role is Role.FEATURE:
            warnings.append(
                f"{column.name} was hidden from every head; heads asked for from now on may use it."
            )
    return warnings
