"""Turn an uploaded file into a table's first snapshot."""

from __future__ import annotations

from app.jobs.contract import AbandonedStatus, Task
from app.schemas.payloads import IngestPayload, PretrainPayload
from app.services.estimates import estimate_pretrain
from app.services.lookup import schema_of
from models import encoders, objectives
from models.features.ingestion import IngestSpec, ingest
from models.features.reading import ReadLimits, ReadOptions, SourceFile
from storage.artifacts.manifest import put_bundle
from storage.errors import NotFound
from storage.ids import new_id
from storage.orm import Job, Snapshot, Table
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

SNAPSHOT_FILES = ("rows.parquet", "schema.json", "profile.json")
FIRST_SCHEMA_VERSION = 1


class IngestJob:
    """A published ingest makes its table `ready`; an abandoned one removes it, so that the name is free again."""

    kind = "ingest"
    resumes_from_checkpoint = False

    def run(self, task: Task) -> JsonObject:
        payload = IngestPayload.model_validate(task.payload)
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
        files = {name: out / name for name in SNAPSHOT_FILES}
        bundle = put_bundle(task.store, task.workspace_id, files, kind="snapshot")
        return {
            "manifest_digest": bundle.digest,
            "artifacts": bundle.digests,
            "num_rows": report.num_rows,
            "columns": [column.model_dump(mode="json") for column in report.table_schema.columns],
            "warnings": list(report.warnings),
        }

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        payload = IngestPayload.model_validate(job.payload)
        table = uow.tables.get(payload.table_id)
        if table is None:
            raise NotFound("The table was deleted while its file was read.", code="table_not_found")
        table = uow.tables.set_columns(table, FIRST_SCHEMA_VERSION, result["columns"])
        snapshot = uow.tables.add_snapshot(
            table,
            result["manifest_digest"],
            result["num_rows"],
            sum(num_bytes for _, num_bytes in result["artifacts"]),
            uow.now(),
        )
        for digest, num_bytes in result["artifacts"]:
            uow.artifacts.add(job.workspace_id, digest, num_bytes, snapshot.id)
        table = uow.tables.mark_ready(table, snapshot)
        published: JsonObject = {
            "table": table.name,
            "snapshot": snapshot.version,
            "num_rows": snapshot.num_rows,
            "warnings": result["warnings"],
        }
        if payload.pretrain:
            published |= _queue_pretraining(uow, job, payload, table, snapshot)
        return published

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


def _queue_pretraining(
    uow: UnitOfWork, job: Job, payload: IngestPayload, table: Table, snapshot: Snapshot
) -> JsonObject:
    """Queue the pretraining that was asked for with the registration; it exists if and only if the table does."""
    architecture = payload.architecture or encoders.DEFAULT.model_dump(mode="json")
    chosen = payload.objectives or [objective.model_dump(mode="json") for objective in objectives.DEFAULT]
    job_id = new_id("job")
    encoder = uow.encoders.add(table, snapshot.id, FIRST_SCHEMA_VERSION, architecture, chosen, job_id)
    pretrain = PretrainPayload(
        table_id=table.id,
        encoder_id=encoder.id,
        snapshot_id=snapshot.id,
        schema_version=FIRST_SCHEMA_VERSION,
        architecture=architecture,
        objectives=chosen,
        max_seconds=payload.pretrain_max_seconds,
    )
    schema = schema_of(uow.tables.columns(table.id, FIRST_SCHEMA_VERSION))
    estimate = estimate_pretrain(
        snapshot.num_rows, len(schema.encoded), architecture, max_seconds=payload.pretrain_max_seconds
    )
    # Not refused here: the table is there already. The worker looks again before the job starts.
    uow.jobs.add(
        job.workspace_id,
        "pretrain",
        pretrain.model_dump(mode="json"),
        encoder.id,
        table.id,
        job_id=job_id,
        estimate=estimate.as_json(),
    )
    return {"encoder": encoder.version, "job": job_id}
