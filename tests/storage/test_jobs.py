"""Jobs as services see them: visibility, events, cancel in every state."""

from __future__ import annotations

import threading

import pytest

from storage.engine import Database
from storage.errors import NotFound
from storage.orm import Job
from tests.storage.rows import add_head, add_job, add_rows, add_table

LEASE_S = 60.0


def claim(database: Database, lease_s: float = LEASE_S, *kinds: str) -> Job | None:
    with database.writing() as uow:
        return uow.jobs.claim("worker-1", kinds or ("pretrain", "finetune", "ingest"), lease_s)


def status_of(database: Database, job: Job) -> str:
    with database.reading() as uow:
        return uow.jobs.get(job.workspace_id, job.id).status


def event_types(database: Database, job: Job) -> list[str]:
    with database.reading() as uow:
        return [event.type for event in uow.jobs.events(job.id)]


def test__add__before_commit__is_invisible(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
    with database.writing() as uow:
        job = uow.jobs.add(workspace.id, "pretrain", {}, None, None)
        with database.reading() as other:
            assert other.jobs.find(job.id) is None
            assert other.jobs.events_since(0) == []
    with database.reading() as other:
        assert other.jobs.get(workspace.id, job.id).status == "queued"
    assert event_types(database, job) == ["queued"]


def test__add__unit_of_work_fails__leaves_nothing(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")

    def add_then_fail() -> None:
        with database.writing() as uow:
            uow.jobs.add(workspace.id, "pretrain", {}, None, None)
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        add_then_fail()
    with database.reading() as uow:
        assert uow.jobs.list(workspace.id).items == []
        assert uow.jobs.last_event_id() == 0


def test__get__job_of_another_workspace__is_not_found(database: Database) -> None:
    job = add_job(database)
    with database.writing() as uow:
        other = uow.workspaces.get_or_create("other")
    with database.reading() as uow, pytest.raises(NotFound) as refusal:
        uow.jobs.get(other.id, job.id)
    assert refusal.value.code == "job_not_found"
    with database.writing() as uow, pytest.raises(NotFound):
        uow.jobs.request_cancel(other.id, job.id)
    assert status_of(database, job) == "queued"


def test__list__filters__by_status_and_table(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        jobs = [uow.jobs.add(workspace.id, "pretrain", {}, None, f"tbl_{n % 2}") for n in range(4)]
        uow.jobs.request_cancel(workspace.id, jobs[0].id)
    with database.reading() as uow:
        assert [job.id for job in uow.jobs.list(workspace.id, table_id="tbl_0").items] == [
            jobs[2].id,
            jobs[0].id,
        ]
        assert [job.id for job in uow.jobs.list(workspace.id, status="cancelled").items] == [jobs[0].id]


def test__request_cancel__queued__ends_at_once_with_what_was_made_for_it(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        job = uow.jobs.add(rows.workspace.id, "finetune", {}, None, rows.table.id)
        encoder = uow.encoders.add(rows.table, rows.snapshot.id, 1, {}, [], job.id)
        head = add_head(uow, rows, job.id)
        uow.artifacts.add(rows.workspace.id, "a" * 64, 5, job.id)
    with database.writing() as uow:
        assert uow.jobs.request_cancel(rows.workspace.id, job.id).status == "cancelled"
    with database.reading() as uow:
        assert uow.encoders.by_version(rows.table.id, encoder.version).status == "cancelled"
        assert uow.heads.by_version(rows.target.id, head.version).status == "cancelled"
        assert uow.heads.by_version(rows.target.id, rows.head.version).status == "ready"
        assert uow.artifacts.references(rows.workspace.id, "a" * 64) == 0
        assert uow.jobs.get(rows.workspace.id, job.id).finished_at is not None
    assert claim(database) is None
    assert event_types(database, job) == ["queued", "cancelled"]


def test__request_cancel__queued_ingest__frees_the_name(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        table = uow.tables.add(workspace.id, "customers", {})
        job = uow.jobs.add(workspace.id, "ingest", {}, table.id, table.id)
    with database.writing() as uow:
        uow.jobs.request_cancel(workspace.id, job.id)
    with database.writing() as uow:
        uow.tables.add(workspace.id, "customers", {})


def test__request_cancel__queued_ingest_of_ready_table__keeps_the_table(database: Database) -> None:
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")
        table, _ = add_table(uow, workspace)
        job = uow.jobs.add(workspace.id, "ingest", {}, table.id, table.id)
        uow.jobs.request_cancel(workspace.id, job.id)
    with database.reading() as uow:
        assert uow.tables.by_name(workspace.id, "customers").status == "ready"


def test__request_cancel__running__is_told_at_the_heartbeat(database: Database) -> None:
    job = add_job(database)
    held = claim(database)
    assert held is not None
    with database.writing() as uow:
        assert uow.jobs.request_cancel(job.workspace_id, job.id).status == "running"
        uow.jobs.request_cancel(job.workspace_id, job.id)  # again: no second event
    with database.writing() as uow:
        assert uow.jobs.heartbeat(job.id, held.fence, LEASE_S, 1, 10, "step").cancel_requested
        uow.jobs.cancelled(job.id, held.fence)
    assert status_of(database, job) == "cancelled"
    assert event_types(database, job) == ["queued", "claimed", "cancel_requested", "progress", "cancelled"]


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test__request_cancel__finished__changes_nothing(database: Database, end: str) -> None:
    job = add_job(database)
    held = claim(database)
    assert held is not None
    with database.writing() as uow:
        match end:
            case "succeeded":
                uow.jobs.succeed(job.id, held.fence, {"encoder": 1})
            case "failed":
                uow.jobs.fail(job.id, held.fence, {"code": "x", "message": "y"}, retry=False)
            case _:
                uow.jobs.cancelled(job.id, held.fence)
    before = event_types(database, job)
    with database.writing() as uow:
        assert uow.jobs.request_cancel(job.workspace_id, job.id).status == end
    assert event_types(database, job) == before


def test__delete_table__with_jobs__cancels_waiting_and_stops_running(database: Database) -> None:
    rows = add_rows(database)
    with database.writing() as uow:
        running = uow.jobs.add(rows.workspace.id, "pretrain", {}, None, rows.table.id)
    held = claim(database)
    assert held is not None
    with database.writing() as uow:
        waiting = uow.jobs.add(rows.workspace.id, "finetune", {}, None, rows.table.id)
        uow.tables.delete(rows.table)
    assert status_of(database, waiting) == "cancelled"
    with database.writing() as uow:
        assert uow.jobs.heartbeat(running.id, held.fence, LEASE_S, 0, 0, "").cancel_requested


def test__append_event__several_in_one_unit__number_on(database: Database) -> None:
    job = add_job(database)
    with database.writing() as uow:
        for step in range(3):
            uow.jobs.append_event(job.id, "checkpoint", {"step": step})
    with database.reading() as uow:
        events = uow.jobs.events(job.id, after_sequence=1)
        assert [(event.sequence, event.type, event.data) for event in events] == [
            (sequence, "checkpoint", {"step": sequence - 2}) for sequence in (2, 3, 4)
        ]
        assert uow.jobs.events(job.id, after_sequence=10**30) == []
        assert uow.jobs.events_since(-5, limit=1)[0].type == "queued"


def test__events_since__slower_transaction__is_never_overtaken(database: Database) -> None:
    """Ids follow commits: a reader that has seen the later id has seen the earlier one."""
    slow, fast = add_job(database), add_job(database)
    with database.reading() as uow:
        start = uow.jobs.last_event_id()
    is_written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with database.writing() as uow:
            uow.jobs.append_event(slow.id, "slow", {})
            uow.before_commit()  # ids are drawn
            is_written.set()
            assert may_commit.wait(20)

    def write_fast() -> None:
        with database.writing() as uow:
            uow.jobs.append_event(fast.id, "fast", {})

    first, second = threading.Thread(target=write_slowly), threading.Thread(target=write_fast)
    first.start()
    assert is_written.wait(20)
    second.start()
    second.join(0.2)
    with database.reading() as uow:
        assert uow.jobs.events_since(start) == []
    may_commit.set()
    first.join(20)
    second.join(20)
    with database.reading() as uow:
        assert [event.type for event in uow.jobs.events_since(start)] == ["slow", "fast"]
