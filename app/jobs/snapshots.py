"""What pretraining and fine-tuning read: a stored snapshot under one schema version, and stored encoders."""

from __future__ import annotations

from app.jobs.contract import Task
from app.services.lookup import schema_of
from models.bundle import EncoderBundle
from models.features.schema import TableSchema
from models.features.snapshot import Snapshot
from storage.artifacts.manifest import bundle_path, load_bundle
from storage.errors import NotFound

ROWS_FILE = "rows.parquet"


def read_snapshot(
    task: Task, table_id: str, snapshot_id: str, schema_version: int
) -> tuple[Snapshot, TableSchema]:
    """A table's rows and the meaning of their columns.

    Raises:
        NotFound: snapshot_not_found, table_not_found, when the table was deleted meanwhile.
    """
    with task.database.reading() as uow:
        digest = uow.tables.snapshot(snapshot_id).manifest_digest
        columns = uow.tables.columns(table_id, schema_version)
    if not columns:
        raise NotFound("The table was deleted while the job waited.", code="table_not_found")
    path = bundle_path(task.store, task.workspace_id, digest, ROWS_FILE)
    return Snapshot(path), schema_of(columns)


def load_encoder(task: Task, encoder_id: str) -> EncoderBundle:
    """A ready encoder, verified.

    Raises:
        NotFound: encoder_not_found, also when it is not ready.
    """
    with task.database.reading() as uow:
        encoder = uow.encoders.get(encoder_id)
    if encoder is None or encoder.manifest_digest is None:
        raise NotFound("The encoder of this job does not exist (any more).", code="encoder_not_found")
    return EncoderBundle.from_files(load_bundle(task.store, task.workspace_id, encoder.manifest_digest))
