"""Pauses, forgetting, and workers, in the database."""

from __future__ import annotations

import pytest

from storage.engine import Database
from storage.errors import NotFound
from storage.orm import Job
from tests.storage.rows import add_head, add_job, add_rows, publish_head


def kinds_of(database: Database, job_id: str) -> list[str]:
    with database.reading() as uow:
        return [event.type for event in uow.jobs.events(job_id)]


def finished(database: Database, job: Job) -> None:
    with database.writing() as uow:
        claimed = uow.jobs.claim("w", [job.kind], 30.0)
        assert claimed is not None
        assert claimed.id == job.id
        uow.jobs.succeed(job.id, claimed.fence, {})


def test__pause__queued__is_not_claimed_until_resumed(database: Database) -> None:
    job = add_job(database)
    with database.writing() as uow:
        assert uow.jobs.request_pause(job.workspace_id, job.id, "paused").status == "paused"
        uow.jobs.request_pause(job.workspace_id, job.id, "again")
    with database.writing() as uow:
        assert uow.jobs.claim("w", ["pretrain"], 30.0) is None
        assert uow.jobs.expire(["pretrain"]) == []
        assert uow.jobs.request_resume(job.workspace_id, job.id).status == "queued"
        uow.jobs.request_resume(job.workspace_id, job.id)
    with database.writing() as uow:
        assert uow.jobs.claim("w", ["pretrain"], 30.0) is not None
    assert kinds_of(database, job.id) == ["queued", "paused", "resumed", "claimed"]


def test__pause__finished_or_foreign__changes_nothing(database: Database) -> None:
    job = add_job(database)
    finished(database, job)
    with database.writing() as uow:
        assert uow.jobs.request_pause(job.workspace_id, job.id, "x").status == "succeeded"
        assert uow.jobs.request_resume(job.workspace_id, job.id).status == "succeeded"
        other = uow.workspaces.get_or_create("other")
        with pytest.raises(NotFound):
            uow.jobs.request_pause(other.id, job.id, "x")
        with pytest.raises(NotFound):
            uow.jobs.request_resume(other.id, job.id)
    assert kinds_of(database, job.id)[-1] == "succeeded"


def test__pause__of_a_worker_that_died_on_the_last_attempt__fails(database: Database) -> None:
    job = add_job(database, max_attempts=1)
    with database.writing() as uow:
        assert uow.jobs.claim("w", ["pretrain"], -1.0) is not None
        uow.jobs.request_pause(job.workspace_id, job.id, "x")
    with database.writing() as uow:
        assert [ended.id for ended in uow.jobs.expire()] == [job.id]
    with database.reading() as uow:
        ended = uow.jobs.get(job.workspace_id, job.id)
    assert (ended.status, ended.pause_requested) == ("failed", False)


def test__cancel__wins_over_pause(database: Database) -> None:
    job = add_job(database)
    with database.writing() as uow:
        assert uow.jobs.claim("w", ["pretrain"], -1.0) is not None
        uow.jobs.request_pause(job.workspace_id, job.id, "x")
        uow.jobs.request_cancel(job.workspace_id, job.id)
    with database.writing() as uow:
        assert [ended.status for ended in uow.jobs.expire()] == ["cancelled"]


def test__purge__old_jobs__go_with_their_events(database: Database) -> None:
    old, waiting = add_job(database), add_job(database, kind="ingest")
    finished(database, old)
    with database.writing() as uow:
        assert uow.jobs.purge(3_600.0) == 0
        assert uow.jobs.purge(-1.0) == 1
    with database.reading() as uow:
        assert uow.jobs.find(old.id) is None
        assert uow.jobs.events(old.id) == []
        assert uow.jobs.find(waiting.id) is not None


def test__purge__job_that_a_head_names__stays_without_its_events(database: Database) -> None:
    rows = add_rows(database)
    job = add_job(database, kind="finetune")
    with database.writing() as uow:
        publish_head(uow, add_head(uow, rows, job.id))
    finished(database, job)
    with database.writing() as uow:
        assert uow.jobs.purge(-1.0) == 0
    with database.reading() as uow:
        assert uow.jobs.get(job.workspace_id, job.id).status == "succeeded"
        assert uow.jobs.events(job.id) == []


def test__purge__many__goes_batch_by_batch(database: Database) -> None:
    for _ in range(5):
        finished(database, add_job(database))
    with database.writing() as uow:
        assert [uow.jobs.purge(-1.0, 2) for _ in range(4)] == [2, 2, 1, 0]


def test__workers__announced__are_listed_until_they_leave(database: Database) -> None:
    for seconds in (1, 2):
        with database.writing() as uow:
            uow.workers.announce("b", ["pretrain"], device="cpu", num_slots=seconds, memory_bytes=1 << 40)
            uow.workers.announce("a", ["ingest"], device="cuda:1", num_slots=1, memory_bytes=1)
    with database.reading() as uow:
        assert [(w.name, w.kinds, w.num_slots) for w in uow.workers.list()] == [
            ("a", ["ingest"], 1), ("b", ["pretrain"], 2)
        ]  # fmt: skip
    with database.writing() as uow:
        uow.workers.leave("a")
        uow.workers.forget()
    with database.reading() as uow:
        assert [w.name for w in uow.workers.list()] == ["b"]
