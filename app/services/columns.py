"""Change kinds and roles: a new schema version over the same snapshot, and what it makes stale."""

from __future__ import annotations

from app.errors import InvalidRequest, ResourceConflict
from app.schemas.principal import Principal
from app.schemas.tables import (
    ColumnBody,
    ColumnChange,
    ColumnsPatch,
    ColumnsPatched,
    StaleEncoder,
    StaleHeads,
)
from app.services.lookup import current_schema, encoder_schema, ready_table
from app.services.views import absent_columns, some_of, stale_reason
from models.features.kinds import check_roles, infer_schema
from models.features.schema import ColumnOverride, ColumnSchema, Role, TableSchema
from models.features.snapshot import ROWS_FILE, Snapshot
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.orm import Table, Target
from storage.unit_of_work import UnitOfWork

_LABEL_ROLES = (Role.FEATURE, Role.TARGET)
FIXED_ROLES = {
    Role.KEY: "the keys of the rows are stored in the snapshot",
    Role.GROUP: "the split into train and evaluation rows follows groups and is stored in the snapshot",
    Role.TIME: "the split into train and evaluation rows may follow time and is stored in the snapshot",
    Role.DROP: "a dropped column is not even stored, and this one is",
}


class ColumnService:
    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    def patch(self, principal: Principal, table_name: str, wanted: ColumnsPatch) -> ColumnsPatched:
        """Change columns; encoders keep serving, those that do not fit any more are named.

        Raises: InvalidRequest `unknown_column`, `role_is_fixed`; ResourceConflict `target_column_in_use`; SchemaError for a kind that the stored values
            cannot have, or roles that do not go together; ResourceConflict `table_not_ready`; Conflict
            `schema_version_conflict` when somebody else changed columns meanwhile.
        """
        with self._database.reading() as uow:
            table, snapshot = ready_table(uow, principal, table_name)
            before = current_schema(uow, table)
            _check_targets(before, wanted.columns, uow.targets.list(table.id))
        path = bundle_path(self._store, principal.workspace_id, snapshot.manifest_digest, ROWS_FILE)
        after = changed_schema(before, wanted.columns, Snapshot(path))
        with self._database.writing() as uow:
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
            stale = stale_encoders(uow, table, after)
            stale_heads = _stale_heads(uow, table, before, after)
            targets = {
                target.column_name: target.name for target in uow.targets.list(table.id) if target.column_name
            }
        return ColumnsPatched(
            schema_version=table.schema_version,
            columns=[ColumnBody.model_validate(column) for column in after.columns],
            stale=stale,
            stale_heads=stale_heads,
            warnings=_target_warnings(before, after, targets),
        )


def stale_encoders(uow: UnitOfWork, table: Table, schema: TableSchema) -> list[StaleEncoder]:
    """Encoders, ready or about to be, that were trained under kinds and roles that `schema` does not have."""
    return [
        StaleEncoder(encoder=encoder.version, reason=reason)
        for encoder in uow.encoders.list(table.id)
        if encoder.status in ("pretraining", "ready")
        and (reason := stale_reason(encoder_schema(uow, encoder), schema)) is not None
    ]


def changed_schema(schema: TableSchema, changes: dict[str, ColumnChange], snapshot: Snapshot) -> TableSchema:
    """`schema` with the changes; equal to it when they change nothing. Kinds are held against the stored values.

    Raises: InvalidRequest, SchemaError.
    """
    unknown = sorted(changes.keys() - set(schema.names))
    if unknown:
        raise InvalidRequest(
            f"The table has no column {unknown[0]!r}; GET the table for its {len(schema.columns)} columns.",
            code="unknown_column",
            details={"columns": unknown[:20]},
        )
    kinds = {
        name: ColumnOverride(kind=change.kind)
        for name, change in changes.items()
        if change.kind is not None and change.kind is not schema[name].kind
    }
    rekinded = (
        infer_schema(snapshot.read(sorted(kinds), with_row_ids=False), kinds)
        if kinds
        else TableSchema(columns=())
    )
    columns = []
    for column in schema.columns:
        role = _changed_role(column, changes[column.name].role) if column.name in changes else column.role
        source = rekinded[column.name] if column.name in kinds else column
        columns.append(source.model_copy(update={"role": role}))
    changed = TableSchema(columns=tuple(columns))
    check_roles(changed)
    return changed


def _changed_role(column: ColumnSchema, role: Role | None) -> Role:
    if role is None or role is column.role:
        return column.role
    for fixed in (column.role, role):
        if fixed in FIXED_ROLES:
            raise InvalidRequest(
                f"The role of {column.name!r} cannot change from {column.role} to {role}: {FIXED_ROLES[fixed]}. "
                f"{'Send the next snapshot with that role' if role is Role.DROP else 'Register the file again with that role'}.",
                code="role_is_fixed",
                details={"column": column.name},
            )
    return role


def _check_targets(schema: TableSchema, changes: dict[str, ColumnChange], targets: list[Target]) -> None:
    """A column that labels are read from stays one."""
    for target in targets:
        name = target.column_name
        role = None if name is None or name not in changes else changes[name].role
        if (
            name is None
            or role is None
            or role in _LABEL_ROLES
            or name not in schema
            or role is schema[name].role
        ):
            continue
        raise ResourceConflict(
            f"{name!r} is the column of the target {target.name!r}, whose labels are read from it, and cannot get the role "
            f"{role}. Delete the target first.",
            code="target_column_in_use",
            details={"column": name, "target": target.name},
        )


def _stale_heads(uow: UnitOfWork, table: Table, before: TableSchema, after: TableSchema) -> list[StaleHeads]:
    """Heads keep the view they were fitted with; those that would get another one now are named."""
    if {column.name: column.role for column in before.columns} == {
        column.name: column.role for column in after.columns
    }:
        return []
    found = []
    for target in uow.targets.list(table.id):
        view = set(absent_columns(after, target.column_name, target.forbidden_columns))
        others: dict[tuple[str, ...], list[int]] = {}
        for head in uow.heads.list(target.id):
            if head.status == "ready" and (differing := tuple(sorted(view.symmetric_difference(head.view)))):
                others.setdefault(differing, []).append(head.version)
        for differing, versions in others.items():
            reason = f"heads asked for from now on hide or see other columns ({some_of(list(differing))})"
            found.append(StaleHeads(target=target.name, heads=versions, reason=reason))
    return found


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
