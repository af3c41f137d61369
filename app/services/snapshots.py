"""New snapshots of a table that has one: merge files into it, look at versions, make an earlier one current again."""

from __future__ import annotations

from collections.abc import Sequence

from app.errors import InvalidRequest, ResourceConflict, ServiceError, Unavailable
from app.schemas.jobs import JobBody
from app.schemas.payloads import IngestPayload, NextSnapshot, UploadedFile
from app.schemas.principal import Principal
from app.schemas.tables import (
    SnapshotBody,
    SnapshotDeleted,
    SnapshotDetail,
    SnapshotList,
    SnapshotRequest,
    TableAccepted,
    TableSummary,
)
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.artifacts import ObjectGone, remove_unreferenced
from app.services.capacity import Capacity
from app.services.estimates import estimate_ingest
from app.services.lookup import current_schema, ready_table, table_of
from app.services.received_files import ReceivedFile, check_files, known_columns, put_files, refer_to_files
from models.features.merging import Mode, OnConflict
from models.features.next_ingestion import check_mode
from models.features.next_schema import check_overrides
from models.features.schema import Role, TableSchema
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import NotFound, StorageError
from storage.ids import new_id
from storage.orm import Snapshot, Table
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

MAX_TRIES = 3


class SnapshotService:
    def __init__(
        self, database: Database, store: ArtifactStore, capacity: Capacity, *, max_upload_bytes: int
    ) -> None:
        self._database = database
        self._store = store
        self._capacity = capacity
        self._max_upload_bytes = max_upload_bytes

    def add(
        self,
        principal: Principal,
        table_name: str,
        wanted: SnapshotRequest,
        files: Sequence[ReceivedFile],
        request: RepeatableRequest | None,
    ) -> Answer:
        """Keep the files as artifacts of the job, and queue the job that merges them into the table.

        Raises: NotFound; ResourceConflict `table_not_ready`, `snapshot_outdated`; InvalidRequest `unknown_column`,
            `missing_key_column`; SchemaError `no_key_column`, `conflict_not_applicable`, `role_is_fixed`.
        """
        with self._database.reading() as uow:
            earlier = earlier_answer(uow, principal, request)
            if earlier is not None:
                return earlier
            table, snapshot = ready_table(uow, principal, table_name)
            columns = known_columns(files) if _is_read_alike(table, files) else ()
            _check_request(current_schema(uow, table), snapshot, wanted, columns)
        check_files(files)
        for _ in range(MAX_TRIES):
            stored = put_files(self._store, principal.workspace_id, files)
            try:
                return self._queue(principal, table_name, wanted, files, stored, request)
            except ObjectGone:
                continue
            except (ServiceError, StorageError):
                digests = {file.digest for file in stored}
                remove_unreferenced(self._database, self._store, principal.workspace_id, digests)
                raise
        raise Unavailable("The file could not be kept; send it again.", code="upload_lost")

    def list(self, principal: Principal, name: str, limit: int, cursor: str | None) -> SnapshotList:
        """Newest first. Raises: NotFound `table_not_found`; InvalidCursor."""
        with self._database.reading() as uow:
            table = table_of(uow, principal, name)
            page = uow.tables.snapshots(table.id, limit, cursor)
            found = [SnapshotBody.model_validate(body_of(uow, table, snapshot)) for snapshot in page.items]
        return SnapshotList(snapshots=found, next_cursor=page.next_cursor)

    def get(self, principal: Principal, name: str, version: int) -> SnapshotDetail:
        """Raises: NotFound `table_not_found`, `snapshot_not_found`."""
        with self._database.reading() as uow:
            table = table_of(uow, principal, name)
            snapshot = uow.tables.snapshot_by_version(table.id, version)
            body = body_of(uow, table, snapshot)
        return SnapshotDetail.model_validate(
            {
                **body,
                "drift_report": snapshot.drift,
                "profile": f"/v1/tables/{table.name}/profile?snapshot={snapshot.version}",
            }
        )

    def delete(self, principal: Principal, name: str, version: int) -> SnapshotDeleted:
        """Delete a version that nothing stands on; its number is not used again.

        Raises: NotFound `table_not_found`, `snapshot_not_found`; Conflict `snapshot_in_use`.
        """
        with self._database.writing() as uow:
            table = table_of(uow, principal, name)
            snapshot = uow.tables.snapshot_by_version(table.id, version)
            released = uow.tables.delete_snapshot(snapshot)
            uow.audit.add(
                principal.workspace_id, principal.key_id, "snapshot.delete", snapshot.id, {"version": version}
            )
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return SnapshotDeleted(version=version, rows=snapshot.num_rows, artifacts=num_removed)

    def _queue(
        self,
        principal: Principal,
        table_name: str,
        wanted: SnapshotRequest,
        files: Sequence[ReceivedFile],
        stored: Sequence[UploadedFile],
        request: RepeatableRequest | None,
    ) -> Answer:
        def make(uow: UnitOfWork) -> Answer:
            table, snapshot = ready_table(uow, principal, table_name)
            payload = IngestPayload(
                table_id=table.id,
                table_name=table.name,
                files=list(stored),
                columns=wanted.columns,
                reading=_reading(table, files),
                max_bytes=self._max_upload_bytes,
                pretrain=wanted.pretrain,
                pretrain_max_seconds=wanted.pretrain_max_seconds,
                next=NextSnapshot(
                    mode=wanted.mode,
                    on_conflict=wanted.on_conflict,
                    accept_drift=wanted.drift == "accept",
                    parent=wanted.parent,
                    split=wanted.split,
                    evaluation_fraction=wanted.evaluation_fraction,
                ),
            )
            estimate = estimate_ingest(
                [(file.filename, file.num_bytes) for file in stored],
                rows_before=snapshot.num_rows,
                bytes_before=snapshot.num_bytes,
            )
            job_id = new_id("job")
            refer_to_files(uow, self._store, principal.workspace_id, stored, job_id)
            job = uow.jobs.add(
                principal.workspace_id,
                "ingest",
                payload.model_dump(mode="json"),
                table.id,
                table.id,
                job_id=job_id,
                estimate=self._capacity.accept(uow, "ingest", estimate),
            )
            uow.audit.add(
                principal.workspace_id, principal.key_id, "table.snapshot", table.id, {"mode": wanted.mode}
            )
            summary = TableSummary.model_validate(table).model_copy(update={"num_rows": snapshot.num_rows})
            warnings = dict.fromkeys(note for file in files for note in file.sniffed.warnings)
            body = TableAccepted(table=summary, job=JobBody.of(job), warnings=list(warnings))
            return Answer.accepted(body, job.id)

        return make_once(self._database, principal, request, make)


def body_of(uow: UnitOfWork, table: Table, snapshot: Snapshot) -> JsonObject:
    """A snapshot as bodies show it."""
    return {
        "id": snapshot.id,
        "version": snapshot.version,
        "num_rows": snapshot.num_rows,
        "num_bytes": snapshot.num_bytes,
        "as_of": snapshot.as_of,
        "created_at": snapshot.created_at,
        "mode": snapshot.mode,
        "parent": _parent_version(uow, snapshot),
        "changes": snapshot.changes,
        "drift": None if snapshot.drift is None else snapshot.drift.get("severity"),
        "is_current": snapshot.id == table.current_snapshot_id,
    }


def _parent_version(uow: UnitOfWork, snapshot: Snapshot) -> int | None:
    if snapshot.parent_id is None:
        return None
    try:
        return uow.tables.snapshot(snapshot.parent_id).version
    except NotFound:  # it may be deleted one day; its children stay
        return None


def _reading(table: Table, files: Sequence[ReceivedFile]) -> JsonObject:
    """The table's reading options, with those that were sent for these files."""
    known: JsonObject = dict(table.settings.get("reading") or {})
    sent = files[0].options.model_dump(mode="json", exclude_unset=True)
    if files[0].options.format is None:
        known.pop("format", None)  # the files may be of another one
    return {**known, **sent}


def _is_read_alike(table: Table, files: Sequence[ReceivedFile]) -> bool:
    """Whether the beginnings were looked at with the options that the files will be read with."""
    looked_at, read = files[0].options.model_dump(mode="json"), _reading(table, files)
    return all(looked_at.get(name) == value for name, value in read.items() if name != "text_columns")


def _check_request(
    schema: TableSchema, snapshot: Snapshot, wanted: SnapshotRequest, columns: Sequence[str]
) -> None:
    """What the request and the header alone can refuse."""
    on_conflict = None if wanted.on_conflict is None else OnConflict(wanted.on_conflict)
    check_mode(schema, Mode(wanted.mode), on_conflict)
    check_overrides(schema, wanted.columns)
    if wanted.parent is not None and wanted.parent != snapshot.version:
        raise ResourceConflict(
            f"The rows are for snapshot {wanted.parent}, but snapshot {snapshot.version} is current. Look at what came in "
            "between, and send them again for that one.",
            code="snapshot_outdated",
        )
    if not columns:  # a Parquet header may stand at the end, then the job refuses
        return
    unknown = sorted(name for name in wanted.columns if name not in columns and name not in schema)
    if unknown:
        raise InvalidRequest(
            f"columns names {len(unknown)} that neither the table nor the file has, such as {unknown[0]!r}.",
            code="unknown_column",
            details={"columns": unknown[:20]},
        )
    missing = [column.name for column in schema.with_role(Role.KEY) if column.name not in columns]
    if missing:
        raise InvalidRequest(
            f"The file lacks the table's key column {missing[0]!r}; its header has {len(columns)} columns.",
            code="missing_key_column",
            details={"columns": missing[:20]},
        )
