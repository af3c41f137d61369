"""Turn received files into a snapshot of a table: its first, or the next."""

from __future__ import annotations

from app.jobs.contract import AbandonedStatus, Task
from app.jobs.next_snapshot import publish_next, run_next
from app.jobs.snapshot_results import publish_snapshot, stored_result
from app.schemas.payloads import IngestPayload
from models.features.ingestion import IngestSpec, ingest
from models.features.reading import ReadLimits, ReadOptions, SourceFile
from models.features.schema import Role
from storage.errors import NotFound
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

FIRST_SCHEMA_VERSION = 1


class IngestJob:
    """A published ingest makes its snapshot current, and its table `ready`; an abandoned registration removes the
    table, so that the name is free again, and an abandoned later snapshot changes nothing."""

    kind = "ingest"
    resumes_from_checkpoint = False

    def run(self, task: Task) -> JsonObject:
        payload = IngestPayload.model_validate(task.payload)
        if payload.next is not None:
            return run_next(task, payload, payload.next)
        out = task.workdir
        report = ingest(
            [
                SourceFile(task.store.local_path(task.workspace_id, file.digest), file.filename)
                for file in payload.files
            ],
            _ingest_spec(payload),
            out,
            progress=task.progress,
            should_stop=task.should_stop,
        )
        return stored_result(task, out, report)

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = IngestPayload.model_validate(job.payload)
        if payload.next is not None:
            return publish_next(uow, job, payload, payload.next, result)
        table = uow.tables.get(payload.table_id)
        if table is None:
            raise NotFound("The table was deleted while its file was read.", code="table_not_found")
        table = uow.tables.set_columns(table, FIRST_SCHEMA_VERSION, result["columns"])
        dropped = sorted(name for name, said in payload.columns.items() if said.role is Role.DROP)
        table = uow.tables.set_settings(table, {"split_rule": result["split_rule"], "dropped": dropped})
        return publish_snapshot(uow, job, payload, table, result)

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        table = uow.tables.get(IngestPayload.model_validate(job.payload).table_id)
        if table is not None and table.status == "registering":
            uow.tables.delete(table)


def _ingest_spec(payload: IngestPayload) -> IngestSpec:
    limits = {} if payload.max_bytes is None else {"max_bytes": payload.max_bytes}
    return IngestSpec(
        columns=payload.columns,
        split=payload.split,
        evaluation_fraction=payload.evaluation_fraction,
        reading=ReadOptions.model_validate(payload.reading),
        limits=ReadLimits.model_validate(limits),
    )
