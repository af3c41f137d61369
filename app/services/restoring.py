"""Make an earlier snapshot of a table current again: a new version with its rows, and no copy of them."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import ResourceConflict, Unavailable
from app.schemas.principal import Principal
from app.schemas.tables import SnapshotRestored
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.columns import stale_encoders
from app.services.erasures import was_erased_since
from app.services.lookup import current_schema, ready_table
from app.services.snapshots import body_of
from models.features.merging import Changes, Mode, OnConflict, merge
from models.features.reading import RawTable, Sniffed
from models.features.schema import KEY_COLUMN, SPLIT_COLUMN, Role, TableSchema
from models.features.snapshot import ROWS_FILE, SCHEMA_FILE
from models.features.snapshot import Snapshot as StoredRows
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.orm import Snapshot, Table
from storage.unit_of_work import UnitOfWork

MAX_TRIES = 3


class _Outdated(Exception):
    """The table changed while the answer was computed."""


@dataclass(frozen=True)
class _Ground:
    table: Table
    current: Snapshot
    wanted: Snapshot
    schema: TableSchema


class RestoreService:
    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    def restore(
        self, principal: Principal, table_name: str, version: int, request: RepeatableRequest | None
    ) -> Answer:
        """Publish a new snapshot version with the rows of `version`; kinds and roles of columns that are there now
        stay as they are.

        Raises: NotFound `table_not_found`, `snapshot_not_found`; ResourceConflict `table_not_ready`, `already_current`.
        """
        for _ in range(MAX_TRIES):
            with self._database.reading() as uow:
                earlier = earlier_answer(uow, principal, request)
                if earlier is not None:
                    return earlier
                ground = _ground(uow, principal, table_name, version)
            schema = self._schema(principal, ground)
            changes = self._changes(principal, ground, schema)

            def publish(
                uow: UnitOfWork,
                ground: _Ground = ground,
                schema: TableSchema = schema,
                changes: Changes = changes,
            ) -> Answer:
                return _publish(uow, principal, ground, schema, changes)

            try:
                return make_once(self._database, principal, request, publish)
            except _Outdated:
                continue
        raise Unavailable("Other snapshots of this table arrive at once; send it again.", code="table_busy")

    def _schema(self, principal: Principal, ground: _Ground) -> TableSchema:
        path = bundle_path(self._store, principal.workspace_id, ground.wanted.manifest_digest, SCHEMA_FILE)
        then = TableSchema.model_validate_json(path.read_bytes())
        now = ground.schema
        return TableSchema(
            columns=tuple(
                now[column.name]
                if column.name in now and now[column.name].storage_type == column.storage_type
                else column
                for column in then.columns
            )
        )

    def _changes(self, principal: Principal, ground: _Ground, schema: TableSchema) -> Changes:
        before, after = (
            StoredRows(
                bundle_path(self._store, principal.workspace_id, row.manifest_digest, ROWS_FILE)
            ).read()
            for row in (ground.current, ground.wanted)
        )
        keys = after[KEY_COLUMN] if schema.with_role(Role.KEY) else None
        table = RawTable(frame=after.select(*schema.names), sniffed=Sniffed(format="parquet"))
        stored = before.select(KEY_COLUMN, SPLIT_COLUMN, *ground.schema.names)
        return merge(stored, table, keys, Mode.REPLACE, OnConflict.UPDATE).changes


def _ground(uow: UnitOfWork, principal: Principal, table_name: str, version: int) -> _Ground:
    table, current = ready_table(uow, principal, table_name)
    wanted = uow.tables.snapshot_by_version(table.id, version)
    if wanted.manifest_digest == current.manifest_digest:
        raise ResourceConflict(
            f"The rows of snapshot {version} are current already (snapshot {current.version}).",
            code="already_current",
        )
    return _Ground(table, current, wanted, current_schema(uow, table))


def _publish(
    uow: UnitOfWork, principal: Principal, ground: _Ground, schema: TableSchema, changes: Changes
) -> Answer:
    table = uow.tables.lock(ground.table.id)
    if table.current_snapshot_id != ground.current.id or table.schema_version != ground.table.schema_version:
        raise _Outdated
    if was_erased_since(uow, ground.table):  # the rows to restore are not what they were
        raise _Outdated
    uow.tables.snapshot(ground.wanted.id)  # it may have been deleted
    if schema != ground.schema:
        rows = [column.model_dump(mode="json") for column in schema.columns]
        table = uow.tables.set_columns(table, table.schema_version + 1, rows)
    dropped = [name for name in table.settings.get("dropped", ()) if name not in schema]
    table = uow.tables.set_settings(table, {"dropped": dropped})
    wanted = ground.wanted
    snapshot = uow.tables.add_snapshot(
        table,
        wanted.manifest_digest,
        wanted.num_rows,
        wanted.num_bytes,
        wanted.as_of,
        mode="restore",
        parent_id=wanted.id,
        changes=changes.model_dump(),
    )
    uow.artifacts.share(wanted.id, snapshot.id)
    table = uow.tables.mark_ready(table, snapshot)
    uow.audit.add(
        principal.workspace_id,
        principal.key_id,
        "table.restore",
        table.id,
        {"snapshot": snapshot.version, "restored": wanted.version},
    )
    warnings = []
    if not schema.with_role(Role.KEY) and changes.added + changes.removed:
        warnings.append(
            "The table has no key: labels sent by row number belong to the rows with these numbers now."
        )
    body = SnapshotRestored.model_validate(
        {**body_of(uow, table, snapshot), "stale": stale_encoders(uow, table, schema), "warnings": warnings}
    )
    return Answer.created(body, f"/v1/tables/{table.name}/snapshots/{snapshot.version}")
