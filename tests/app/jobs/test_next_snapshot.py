"""Jobs that make the next snapshot: they meet each other, are killed, cancelled or outdated, and the old one stays."""

from __future__ import annotations

import pytest

from app.executors import Succeeded
from app.jobs.snapshots import ROWS_FILE
from app.schemas.payloads import IngestPayload, NextSnapshot, UploadedFile
from app.worker.watching import Outcome
from models.features.snapshot import Snapshot
from storage.artifacts.manifest import bundle_path
from storage.ids import new_id
from tests.app.jobs.ground import NUM_ROWS, Ground, table_csv


@pytest.fixture
def registered(ground: Ground) -> Ground:
    assert ground.run(ground.queue_ingest(table_csv())).status == "succeeded"
    return ground


def more_rows(start: int, count: int = 20) -> bytes:
    lines = table_csv().decode().splitlines()
    rows = [f"n{start + row:04d},{line.split(',', 1)[1]}" for row, line in enumerate(lines[1 : count + 1])]
    return "\n".join([lines[0], *rows, ""]).encode()


def queue_next(ground: Ground, content: bytes, **wanted: object) -> str:
    digest = ground.store.put_bytes(ground.workspace_id, content)
    job_id = new_id("job")
    with ground.database.writing() as uow:
        table = uow.tables.by_name(ground.workspace_id, "people")
        payload = IngestPayload(
            table_id=table.id,
            table_name=table.name,
            files=[UploadedFile(digest=digest, filename="more.csv", num_bytes=len(content))],
            next=NextSnapshot.model_validate({"mode": "append", **wanted}),
        )
        uow.artifacts.add(ground.workspace_id, digest, len(content), job_id)
        body = payload.model_dump(mode="json")
        uow.jobs.add(ground.workspace_id, "ingest", body, table.id, table.id, job_id=job_id)
    return job_id


def current(ground: Ground) -> tuple[int, int]:
    """Version and number of rows of the current snapshot, which can be read."""
    with ground.database.reading() as uow:
        snapshot = uow.tables.current_snapshot(ground.table())
    assert snapshot is not None
    path = bundle_path(ground.store, ground.workspace_id, snapshot.manifest_digest, ROWS_FILE)
    assert Snapshot(path).num_rows == snapshot.num_rows
    return snapshot.version, snapshot.num_rows


def test__two_jobs__on_one_parent__the_second_runs_again_on_what_the_first_published(
    registered: Ground,
) -> None:
    ground = registered
    first_id, second_id = queue_next(ground, more_rows(0)), queue_next(ground, more_rows(100))
    first, second = ground.claim(first_id), ground.claim(second_id)
    reports = ground.run_task(first), ground.run_task(second)
    assert all(isinstance(report, Succeeded) for report in reports)
    assert ground.settlement.settle(second, Outcome(reports[1])) == "succeeded"
    assert ground.settlement.settle(first, Outcome(reports[0])) == "queued"
    with ground.database.reading() as uow:
        assert uow.jobs.events(first_id)[-1].data["reason"] == "outdated"
    assert current(ground) == (2, NUM_ROWS + 20)
    again = ground.run(first_id)
    assert (again.status, again.attempt) == ("succeeded", 1)
    assert current(ground) == (3, NUM_ROWS + 40)
    assert ground.objects() == ground.referenced()


def test__columns__changed_while_the_job_computes__it_runs_again_under_them(registered: Ground) -> None:
    ground = registered
    job = ground.claim(queue_next(ground, more_rows(0)))
    report = ground.run_task(job)
    with ground.database.writing() as uow:
        table = uow.tables.by_name(ground.workspace_id, "people")
        columns = [
            {
                name: getattr(column, name)
                for name in ("name", "kind", "role", "storage_type", "evidence", "kind_source")
            }
            for column in uow.tables.columns(table.id)
        ]
        changed = [
            {**column, "kind": "categorical", "kind_source": "override"}
            if column["name"] == "size"
            else column
            for column in columns
        ]
        uow.tables.set_columns(table, 2, changed)
    assert ground.settlement.settle(job, Outcome(report)) == "queued"
    assert ground.run(job.id).status == "succeeded"
    with ground.database.reading() as uow:
        kinds = {column.name: column.kind for column in uow.tables.columns(ground.table().id)}
    assert kinds["size"] == "categorical"


def test__killed_before_it_is_settled__the_old_snapshot_stays_and_the_job_runs_again(
    registered: Ground,
) -> None:
    ground = registered
    job_id = queue_next(ground, more_rows(0))
    job = ground.claim(job_id)
    ground.run_task(job)  # the child has stored everything; its worker dies before it publishes
    assert current(ground) == (1, NUM_ROWS)
    with ground.database.writing() as uow:
        uow.jobs.requeue(job.id, job.fence)
    assert ground.run(job_id).status == "succeeded"
    assert current(ground) == (2, NUM_ROWS + 20)
    assert ground.objects() == ground.referenced()


def test__cancelled_while_running__changes_nothing(registered: Ground) -> None:
    ground = registered
    before = ground.row_counts(), ground.objects()
    job = ground.claim(queue_next(ground, more_rows(0)))
    with ground.database.writing() as uow:
        uow.jobs.request_cancel(ground.workspace_id, job.id)
    assert ground.settlement.settle(job, Outcome(ground.run_task(job))) == "cancelled"
    assert (ground.row_counts(), ground.objects()) == before
    assert ground.table().status == "ready"


def test__expected_parent__gone_by_when_it_publishes__fails_without_a_trace(registered: Ground) -> None:
    ground = registered
    first, second = queue_next(ground, more_rows(0), parent=1), queue_next(ground, more_rows(100), parent=1)
    jobs = ground.claim(first), ground.claim(second)
    reports = [ground.run_task(job) for job in jobs]
    assert ground.settlement.settle(jobs[0], Outcome(reports[0])) == "succeeded"
    assert ground.settlement.settle(jobs[1], Outcome(reports[1])) == "failed"
    assert (ground.job(second).error or {})["code"] == "snapshot_outdated"
    assert current(ground) == (2, NUM_ROWS + 20)
    assert ground.objects() == ground.referenced()


def test__table__deleted_meanwhile__ends_the_job(registered: Ground) -> None:
    ground = registered
    first = ground.objects()  # the sweep's, once nothing refers to them
    job = ground.claim(queue_next(ground, more_rows(0)))
    report = ground.run_task(job)
    with ground.database.writing() as uow:
        uow.tables.delete(uow.tables.by_name(ground.workspace_id, "people"))
    assert ground.settlement.settle(job, Outcome(report)) == "cancelled"
    assert ground.objects() <= first
    assert ground.referenced() == set()


def test__asked_to_pretrain__queues_it_on_the_new_snapshot_and_schema(registered: Ground) -> None:
    ground = registered
    digest_before = ground.table().current_snapshot_id
    job_id = queue_next(ground, more_rows(0))
    with ground.database.writing() as uow:
        job = uow.jobs.get(ground.workspace_id, job_id)
        job.payload = {**job.payload, "pretrain": True, "pretrain_max_seconds": 5.0}
    ended = ground.run(job_id)
    assert ended.result is not None
    chained = ground.job(ended.result["job"])
    assert chained.payload["snapshot_id"] == ground.table().current_snapshot_id != digest_before
    assert chained.payload["schema_version"] == ground.table().schema_version


def test__labels_of_an_old_table__without_a_stored_rule__keep_their_sides(registered: Ground) -> None:
    """Tables of the first issue have no split rule in their settings: it follows from what was said then."""
    ground = registered
    with ground.database.writing() as uow:
        table = uow.tables.by_name(ground.workspace_id, "people")
        settings = {"split": {"by": "auto"}, "evaluation_fraction": 0.2, "reading": {}}
        uow.tables.lock(table.id).settings = settings
    assert ground.run(queue_next(ground, more_rows(0))).status == "succeeded"
    assert ground.table().settings["split_rule"]["evaluation_fraction"] == 0.2
