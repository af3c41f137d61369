"""What ingesting leaves behind: files in the store, then a snapshot row that refers to them, and perhaps a pretraining."""

from __future__ import annotations

from pathlib import Path

from app.jobs.contract import Task
from app.schemas.payloads import IngestPayload, PretrainPayload
from app.services.estimates import estimate_pretrain
from app.services.lookup import schema_of
from models import encoders, objectives
from models.features.ingestion import IngestReport
from storage.artifacts.manifest import put_bundle
from storage.ids import new_id
from storage.orm import Job, Snapshot, Table
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

SNAPSHOT_FILES = ("rows.parquet", "schema.json", "profile.json")


def stored_result(task: Task, folder: Path, report: IngestReport) -> JsonObject:
    """Store the files of a snapshot that lie in `folder`; what publishing it needs."""
    bundle = put_bundle(
        task.store, task.workspace_id, {name: folder / name for name in SNAPSHOT_FILES}, kind="snapshot"
    )
    return {
        "manifest_digest": bundle.digest,
        "artifacts": bundle.digests,
        "num_rows": report.num_rows,
        "columns": [column.model_dump(mode="json") for column in report.table_schema.columns],
        "warnings": list(report.warnings),
        "split_rule": report.rule.model_dump(mode="json"),
    }


def publish_snapshot(
    uow: UnitOfWork,
    job: Job,
    payload: IngestPayload,
    table: Table,
    result: JsonObject,
    *,
    mode: str = "replace",
    parent_id: str | None = None,
    changes: JsonObject | None = None,
    drift: JsonObject | None = None,
) -> JsonObject:
    """Make what was stored the table's current snapshot; returns what the job's result says of it."""
    snapshot = uow.tables.add_snapshot(
        table,
        result["manifest_digest"],
        result["num_rows"],
        sum(num_bytes for _, num_bytes in result["artifacts"]),
        uow.now(),
        mode=mode,
        parent_id=parent_id,
        changes=changes,
        drift=drift,
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


def _queue_pretraining(
    uow: UnitOfWork, job: Job, payload: IngestPayload, table: Table, snapshot: Snapshot
) -> JsonObject:
    """Queue the pretraining that was asked for with the file; it exists if and only if the snapshot does."""
    architecture = payload.architecture or encoders.DEFAULT.model_dump(mode="json")
    chosen = payload.objectives or [objective.model_dump(mode="json") for objective in objectives.DEFAULT]
    job_id = new_id("job")
    encoder = uow.encoders.add(table, snapshot.id, table.schema_version, architecture, chosen, job_id)
    pretrain = PretrainPayload(
        table_id=table.id,
        encoder_id=encoder.id,
        snapshot_id=snapshot.id,
        schema_version=table.schema_version,
        architecture=architecture,
        objectives=chosen,
        max_seconds=payload.pretrain_max_seconds,
    )
    schema = schema_of(uow.tables.columns(table.id, table.schema_version))
    estimate = estimate_pretrain(
        snapshot.num_rows, len(schema.encoded), architecture, max_seconds=payload.pretrain_max_seconds
    )
    # Not refused here: the snapshot is there already. The worker looks again before the job starts.
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
