"""Merge files into the snapshot that is current when the job runs, and publish the result if it still is then.

Two jobs of one table may compute at the same time; the one that publishes second finds that its parent is not current
any more and runs again, on what the first has published.
"""

from __future__ import annotations

from app.jobs.contract import ResultOutdated, Task
from app.jobs.snapshot_results import publish_snapshot, stored_result
from app.schemas.payloads import IngestPayload, NextSnapshot
from app.services.erasures import num_erasures
from app.services.lookup import encoder_schema, schema_of
from app.services.views import stale_reason
from models.errors import InputError
from models.features.merging import Mode, OnConflict
from models.features.next_ingestion import NextSpec, Parent, ingest_next
from models.features.reading import ReadLimits, ReadOptions, SourceFile
from models.features.schema import SplitBy, SplitRule, TableSchema
from models.features.snapshot import ROWS_FILE
from models.features.snapshot import Snapshot as StoredRows
from storage.artifacts.manifest import bundle_path
from storage.errors import Conflict, NotFound
from storage.orm import Job, Snapshot, Table
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

MAX_FINDINGS = 50  # of a drift report, in the job's result; the snapshot has all


def run_next(task: Task, payload: IngestPayload, wanted: NextSnapshot) -> JsonObject:
    """Raises: InputError, as `next_ingestion.ingest_next`, and snapshot_outdated; NotFound; Interrupted."""
    table, snapshot, schema = _parent(task, payload.table_id)
    if wanted.parent is not None and wanted.parent != snapshot.version:
        raise InputError(_outdated(wanted.parent, snapshot.version), code="snapshot_outdated")
    path = bundle_path(task.store, task.workspace_id, snapshot.manifest_digest, ROWS_FILE)
    out = task.workdir
    report = ingest_next(
        [
            SourceFile(task.store.local_path(task.workspace_id, file.digest), file.filename)
            for file in payload.files
        ],
        _parent_rows(table, StoredRows(path), schema),
        _next_spec(payload, wanted, table),
        out,
        progress=task.progress,
        should_stop=task.should_stop,
    )
    return {
        **stored_result(task, out, report),
        "parent_id": snapshot.id,
        "parent": snapshot.version,
        "schema_version": table.schema_version,
        "erasures": num_erasures(table),
        "changes": report.changes.model_dump(),
        "drift": report.drift,
        "dropped": list(report.dropped),
    }


def publish_next(
    uow: UnitOfWork, job: Job, payload: IngestPayload, wanted: NextSnapshot, result: JsonObject
) -> JsonObject:
    """Raises: NotFound table_not_found; Conflict snapshot_outdated; ResultOutdated."""
    table = uow.tables.lock(payload.table_id)
    if table.current_snapshot_id != result["parent_id"]:
        if wanted.parent is None:
            raise ResultOutdated
        current = uow.tables.current_snapshot(table)
        version = 0 if current is None else current.version
        raise Conflict(_outdated(wanted.parent, version), code="snapshot_outdated")
    if table.schema_version != result["schema_version"] or num_erasures(table) != result["erasures"]:
        raise ResultOutdated
    before = schema_of(uow.tables.columns(table.id, table.schema_version))
    after = TableSchema.model_validate({"columns": result["columns"]})
    if after != before:
        table = uow.tables.set_columns(table, table.schema_version + 1, result["columns"])
    settings: JsonObject = {"split_rule": result["split_rule"], "dropped": result["dropped"]}
    settings["evaluation_fraction"] = result["split_rule"]["evaluation_fraction"]
    if wanted.split is not None:
        settings["split"] = wanted.split.model_dump(mode="json")
    table = uow.tables.set_settings(table, settings)
    published = publish_snapshot(
        uow,
        job,
        payload,
        table,
        result,
        mode=wanted.mode,
        parent_id=result["parent_id"],
        changes=result["changes"],
        drift=result["drift"],
    )
    return {
        **published,
        "mode": wanted.mode,
        "parent": result["parent"],
        "changes": result["changes"],
        "drift": {
            "severity": result["drift"]["severity"],
            "findings": result["drift"]["findings"][:MAX_FINDINGS],
        },
        "stale": _stale(uow, table, after),
    }


def _parent(task: Task, table_id: str) -> tuple[Table, Snapshot, TableSchema]:
    with task.database.reading() as uow:
        table = uow.tables.get(table_id)
        snapshot = None if table is None else uow.tables.current_snapshot(table)
        if table is None or snapshot is None:
            raise NotFound("The table was deleted while its file waited.", code="table_not_found")
        return table, snapshot, schema_of(uow.tables.columns(table.id, table.schema_version))


def _parent_rows(table: Table, rows: StoredRows, schema: TableSchema) -> Parent:
    rule = table.settings.get("split_rule")
    return Parent(
        rows,
        schema,
        rule=None if rule is None else SplitRule.model_validate(rule),
        split=SplitBy.model_validate(table.settings.get("split") or {}),
        evaluation_fraction=float(table.settings.get("evaluation_fraction", 0.1)),
    )


def _next_spec(payload: IngestPayload, wanted: NextSnapshot, table: Table) -> NextSpec:
    limits = {} if payload.max_bytes is None else {"max_bytes": payload.max_bytes}
    return NextSpec(
        mode=Mode(wanted.mode),
        on_conflict=None if wanted.on_conflict is None else OnConflict(wanted.on_conflict),
        accept_drift=wanted.accept_drift,
        columns=payload.columns,
        dropped=tuple(table.settings.get("dropped", ())),
        split=wanted.split,
        evaluation_fraction=wanted.evaluation_fraction,
        reading=ReadOptions.model_validate(payload.reading),
        limits=ReadLimits.model_validate(limits),
    )


def _stale(uow: UnitOfWork, table: Table, schema: TableSchema) -> list[JsonObject]:
    """Ready encoders that were trained with other columns; they keep serving."""
    return [
        {"encoder": encoder.version, "reason": reason}
        for encoder in uow.encoders.list(table.id)
        if encoder.status == "ready" and (reason := stale_reason(encoder_schema(uow, encoder), schema))
    ]


def _outdated(wanted: int, current: int) -> str:
    return (
        f"The rows were to join snapshot {wanted}, but snapshot {current} is current. Look at what came in between, and "
        "send them again for that one."
    )
