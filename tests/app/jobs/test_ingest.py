from __future__ import annotations

from typing import Any

import pytest

from app.executors import Succeeded
from app.jobs.snapshots import ROWS_FILE
from app.worker.watching import Outcome
from models.features.snapshot import Snapshot
from storage.artifacts.manifest import bundle_path, read_manifest
from storage.errors import NotFound
from tests.app.jobs.ground import NUM_ROWS, Ground, table_csv

RAGGED = table_csv() + b"k9999,red\n"


def test__ingest__of_a_table__publishes_rows_columns_and_references(ground: Ground) -> None:
    job = ground.run(ground.queue_ingest(table_csv()))
    table = ground.table()
    with ground.database.reading() as uow:
        columns = {column.name: column for column in uow.tables.columns(table.id)}
        snapshot = uow.tables.current_snapshot(table)
    assert job.status == "succeeded"
    assert job.result is not None
    assert (job.result["table"], job.result["snapshot"], job.result["num_rows"]) == ("people", 1, NUM_ROWS)
    assert (table.status, table.schema_version) == ("ready", 1)
    assert (columns["churned"].role, columns["id"].role, columns["size"].kind) == (
        "target",
        "key",
        "continuous",
    )
    assert snapshot is not None
    files = read_manifest(ground.store, ground.workspace_id, snapshot.manifest_digest).files
    assert set(files) == {"rows.parquet", "schema.json", "profile.json"}
    path = bundle_path(ground.store, ground.workspace_id, snapshot.manifest_digest, ROWS_FILE)
    assert Snapshot(path).num_rows == NUM_ROWS


def test__ingest__once_published__keeps_what_is_referred_to_and_nothing_else(ground: Ground) -> None:
    job_id = ground.queue_ingest(table_csv())
    upload = ground.objects()
    ground.run(job_id)
    assert ground.objects() == ground.referenced()
    assert not ground.objects() & upload
    assert not (ground.settings.scratch_dir / job_id).exists()


def test__ingest__asked_to_pretrain__queues_it_with_its_encoder(ground: Ground) -> None:
    job = ground.run(ground.queue_ingest(table_csv(), pretrain=True, pretrain_max_seconds=5))
    assert job.result is not None
    chained = ground.job(job.result["job"])
    with ground.database.reading() as uow:
        encoder = uow.encoders.by_version(ground.table().id, job.result["encoder"])
    assert (chained.kind, chained.status, chained.subject_id) == ("pretrain", "queued", encoder.id)
    assert (encoder.status, encoder.job_id) == ("pretraining", chained.id)
    assert chained.payload["max_seconds"] == 5


@pytest.mark.parametrize(
    ("content", "filename", "changes", "code"),
    [
        (RAGGED, "people.csv", {}, "ragged_row"),
        (b"%PDF-1.7 not a table\n", "people.csv", {}, "not_a_table"),
        (b"", "people.csv", {}, "empty_file"),
        (table_csv(), "people.csv", {"columns": {"nobody": {"role": "drop"}}}, "unknown_column"),
    ],
    ids=["ragged", "pdf", "empty", "unknown column"],
)
def test__ingest__of_what_cannot_become_a_table__leaves_nothing_and_frees_the_name(
    ground: Ground, content: bytes, filename: str, changes: dict[str, Any], code: str
) -> None:
    rows, objects = ground.row_counts(), ground.objects()
    job = ground.run(ground.queue_ingest(content, filename=filename, **changes))
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == code
    assert (ground.row_counts(), ground.objects()) == (rows, objects)
    assert ground.run(ground.queue_ingest(table_csv())).status == "succeeded"


def test__ingest__with_a_ragged_row__names_its_line(ground: Ground) -> None:
    job = ground.run(ground.queue_ingest(RAGGED))
    assert job.error is not None
    assert job.error["details"]["line"] == NUM_ROWS + 2


def test__ingest__whose_table_is_deleted_meanwhile__is_cancelled_and_leaves_nothing(ground: Ground) -> None:
    rows = ground.row_counts()
    job = ground.claim(ground.queue_ingest(table_csv()))
    report = ground.run_task(job)
    with ground.database.writing() as uow:
        uow.tables.delete(uow.tables.by_name(ground.workspace_id, "people"))
    assert isinstance(report, Succeeded)
    assert ground.settlement.settle(job, Outcome(report)) == "cancelled"
    assert ground.row_counts() == rows
    assert ground.objects() == set()


def test__ingest__cancelled_while_running__frees_the_name(ground: Ground) -> None:
    job = ground.claim(ground.queue_ingest(table_csv()))
    with ground.database.writing() as uow:
        uow.jobs.request_cancel(ground.workspace_id, job.id)
    assert ground.settlement.settle(job, Outcome(ground.run_task(job))) == "cancelled"
    with pytest.raises(NotFound):
        ground.table()
    assert ground.objects() == set()


def test__ingest__of_the_same_file_twice__shares_objects_safely(ground: Ground) -> None:
    first, second = ground.queue_ingest(table_csv(), name="one"), ground.queue_ingest(table_csv(), name="two")
    assert ground.run(first).status == "succeeded"
    assert ground.run(second).status == "succeeded"
    assert ground.objects() == ground.referenced()
