"""Register, look at and delete tables."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from app.errors import InvalidRequest, ServiceError, Unavailable
from app.schemas.jobs import JobBody
from app.schemas.payloads import IngestPayload, UploadedFile
from app.schemas.principal import Principal
from app.schemas.tables import (
    ColumnBody,
    ProfileBody,
    RegisterRequest,
    SnapshotBody,
    TableAccepted,
    TableBody,
    TableDeleted,
    TableList,
    TableSummary,
)
from app.services.answers import Answer, RepeatableRequest, earlier_answer, make_once
from app.services.artifacts import ObjectGone, remove_unreferenced
from app.services.capacity import Capacity
from app.services.estimates import estimate_ingest
from app.services.lookup import current_schema, ready_table, table_of
from app.services.received_files import ReceivedFile, check_files, known_columns, put_files, refer_to_files
from app.services.snapshots import body_of
from models.features.schema import Role
from models.features.snapshot import PROFILE_FILE
from storage.artifacts import ArtifactStore
from storage.artifacts.manifest import bundle_path
from storage.engine import Database
from storage.errors import Conflict, NotFound, StorageError
from storage.ids import new_id
from storage.orm import Snapshot, Table
from storage.unit_of_work import UnitOfWork

MAX_TRIES = 3


class TableService:
    def __init__(
        self, database: Database, store: ArtifactStore, capacity: Capacity, *, max_upload_bytes: int
    ) -> None:
        self._database = database
        self._store = store
        self._capacity = capacity
        self._max_upload_bytes = max_upload_bytes

    def check_name_is_free(self, principal: Principal, name: str) -> None:
        """Before a large file is received; the unique key decides in the end. Raises: Conflict `name_taken`."""
        with self._database.reading() as uow:
            try:
                uow.tables.by_name(principal.workspace_id, name)
            except NotFound:
                return
        raise Conflict(f"A table named {name!r} exists; choose another name or delete it.", code="name_taken")

    def register(
        self,
        principal: Principal,
        wanted: RegisterRequest,
        files: Sequence[ReceivedFile],
        request: RepeatableRequest | None,
    ) -> Answer:
        """Keep the files as artifacts of the job, and queue the job that reads them.

        Raises: InvalidRequest `unknown_column`, `invalid_time_split`, as `check_files`; Conflict `name_taken`.
        """
        with self._database.reading() as uow:
            earlier = earlier_answer(uow, principal, request)
        if earlier is not None:
            return earlier
        check_files(files)
        _check_columns(wanted, known_columns(files))
        if request is None:  # else the name may be taken by an earlier attempt, which the transaction finds
            self.check_name_is_free(principal, wanted.name)
        for _ in range(MAX_TRIES):
            stored = put_files(self._store, principal.workspace_id, files)
            try:
                return self._register(principal, wanted, files, stored, request)
            except ObjectGone:
                continue
            except (ServiceError, StorageError):
                digests = {file.digest for file in stored}
                remove_unreferenced(self._database, self._store, principal.workspace_id, digests)
                raise
        raise Unavailable("The file could not be kept; send it again.", code="upload_lost")

    def _register(
        self,
        principal: Principal,
        wanted: RegisterRequest,
        files: Sequence[ReceivedFile],
        stored: Sequence[UploadedFile],
        request: RepeatableRequest | None,
    ) -> Answer:
        def make(uow: UnitOfWork) -> Answer:
            settings = {
                "split": wanted.split.model_dump(mode="json"),
                "evaluation_fraction": wanted.evaluation_fraction,
                "reading": files[0].options.model_dump(mode="json"),
            }
            table = uow.tables.add(principal.workspace_id, wanted.name, settings)
            payload = IngestPayload(
                table_id=table.id,
                table_name=table.name,
                files=list(stored),
                columns=wanted.columns,
                split=wanted.split,
                evaluation_fraction=wanted.evaluation_fraction,
                reading=settings["reading"],
                max_bytes=self._max_upload_bytes,
                pretrain=wanted.pretrain,
                pretrain_max_seconds=wanted.pretrain_max_seconds,
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
                estimate=self._capacity.accept(
                    uow, "ingest", estimate_ingest((file.filename, file.num_bytes) for file in stored)
                ),
            )
            uow.audit.add(principal.workspace_id, principal.key_id, "table.register", table.id)
            warnings = dict.fromkeys(note for file in files for note in file.sniffed.warnings)
            body = TableAccepted(table=_summary(table, None), job=JobBody.of(job), warnings=list(warnings))
            return Answer.accepted(body, job.id)

        return make_once(self._database, principal, request, make)

    def list(self, principal: Principal, limit: int, cursor: str | None) -> TableList:
        """Newest first. Raises: InvalidCursor."""
        with self._database.reading() as uow:
            page = uow.tables.list(principal.workspace_id, limit, cursor)
            tables = [_summary(table, uow.tables.current_snapshot(table)) for table in page.items]
        return TableList(tables=tables, next_cursor=page.next_cursor)

    def get(self, principal: Principal, name: str) -> TableBody:
        with self._database.reading() as uow:
            table = table_of(uow, principal, name)
            snapshot = uow.tables.current_snapshot(table)
            columns = uow.tables.columns(table.id, table.schema_version)
            active = None if table.active_encoder_id is None else uow.encoders.get(table.active_encoder_id)
            targets = uow.targets.list(table.id)
            current = None if snapshot is None else SnapshotBody.model_validate(body_of(uow, table, snapshot))
        return TableBody(
            **_summary(table, snapshot).model_dump(),
            snapshot=current,
            columns=[ColumnBody.model_validate(column) for column in columns],
            active_encoder=None if active is None else active.version,
            targets=[target.name for target in targets],
            settings=table.settings,
        )

    def profile(self, principal: Principal, name: str, version: int | None = None) -> ProfileBody:
        """Of the current snapshot, under the kinds and roles that hold now, or of another version as it was profiled.

        Raises: ResourceConflict `table_not_ready`; NotFound `snapshot_not_found`.
        """
        with self._database.reading() as uow:
            table, snapshot = ready_table(uow, principal, name)
            schema = current_schema(uow, table)
            if version is not None:
                snapshot = uow.tables.snapshot_by_version(table.id, version)
        path = bundle_path(self._store, principal.workspace_id, snapshot.manifest_digest, PROFILE_FILE)
        found = orjson.loads(path.read_bytes())
        columns = found["columns"]
        if snapshot.id == table.current_snapshot_id:
            for column in schema.columns:  # kinds and roles may have changed since the rows were counted
                entry = columns.setdefault(column.name, {})
                entry.update(kind=column.kind.value, role=column.role.value, evidence=column.evidence)
        return ProfileBody(
            table=table.name,
            snapshot=snapshot.version,
            schema_version=table.schema_version,
            num_rows=snapshot.num_rows,
            columns=columns,
            warnings=found.get("warnings", []),
            duplicates=found.get("duplicates"),
            splits=found.get("splits"),
            split=found.get("split"),
        )

    def delete(self, principal: Principal, name: str) -> TableDeleted:
        """Delete the table with everything made from it; its jobs are cancelled. There is no way back."""
        with self._database.writing() as uow:
            table = table_of(uow, principal, name)
            targets = uow.targets.list(table.id)
            unfinished = [
                job
                for status in ("queued", "paused", "running")
                for job in uow.jobs.list(
                    principal.workspace_id, status=status, table_id=table.id, limit=500
                ).items
            ]
            released: set[str] = set()
            for job in unfinished:
                if job.status != "running":  # nobody else would let go of what it was to read
                    released.update(uow.artifacts.remove_owner(job.id))
            encoders = uow.encoders.list(table.id)
            heads = [head for target in targets for head in uow.heads.list(target.id)]
            num_snapshots = uow.tables.num_snapshots(table.id)
            released.update(uow.tables.delete(table))
            uow.audit.add(
                principal.workspace_id, principal.key_id, "table.delete", table.id, {"name": table.name}
            )
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return TableDeleted(
            table=table.name,
            snapshots=num_snapshots,
            encoders=len(encoders),
            targets=len(targets),
            heads=len(heads),
            cancelled_jobs=[job.id for job in unfinished],
            artifacts=num_removed,
        )


def _summary(table: Table, snapshot: Snapshot | None) -> TableSummary:
    return TableSummary.model_validate(
        {
            "name": table.name,
            "id": table.id,
            "status": table.status,
            "created_at": table.created_at,
            "schema_version": table.schema_version,
            "num_rows": None if snapshot is None else snapshot.num_rows,
        }
    )


def _check_columns(wanted: RegisterRequest, columns: Sequence[str]) -> None:
    """What the header alone can refuse; a Parquet header may stand at the end, then the job refuses."""
    if columns:
        unknown = sorted(wanted.columns.keys() - set(columns))
        if unknown:
            raise InvalidRequest(
                f"columns names {len(unknown)} that the file does not have, such as {unknown[0]!r}; "
                f"the header has {len(columns)} columns.",
                code="unknown_column",
                details={"columns": unknown[:20]},
            )
    times = [name for name, override in wanted.columns.items() if override.role is Role.TIME]
    if wanted.split.by == "time" and len(times) != 1:
        raise InvalidRequest(
            f"A split by time needs exactly one column with the role time; {len(times)} have it. Send columns "
            '{"<name>": {"role": "time"}}.',
            code="invalid_time_split",
        )
    for by, role in (("group", Role.GROUP), ("key", Role.KEY)):
        if wanted.split.by == by and role not in {override.role for override in wanted.columns.values()}:
            raise InvalidRequest(
                f'A split by {by} needs a column with the role {by}; none has it. Send columns {{"<name>": {{"role": "{by}"}}}}.',
                code=f"no_{by}_column",
            )
