"""The worker's side: claims, leases, fences, attempts; one at a time and many at once."""

from __future__ import annotations

import multiprocessing
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool, ThreadPool

import pytest

from storage.engine import Database
from storage.errors import FenceLost
from storage.orm import Job
from storage.unit_of_work import UnitOfWork
from tests.storage.claimers import KINDS, claim_all
from tests.storage.rows import add_job

EXPIRED = -1.0  # a lease that has run out already
LEASE_S = 60.0


def claim(database: Database, lease_s: float = LEASE_S, worker: str = "worker-1") -> Job | None:
    with database.writing() as uow:
        return uow.jobs.claim(worker, KINDS, lease_s)


def claimed(database: Database, lease_s: float = LEASE_S, worker: str = "worker-1") -> Job:
    job = claim(database, lease_s, worker)
    assert job is not None
    return job


def read(database: Database, job: Job) -> Job:
    with database.reading() as uow:
        return uow.jobs.get(job.workspace_id, job.id)


def test__claim__nothing_queued__is_none(database: Database) -> None:
    assert claim(database) is None
    with database.writing() as uow:
        assert uow.jobs.claim("worker-1", (), LEASE_S) is None


def test__claim__takes_the_oldest_of_its_kinds(database: Database) -> None:
    add_job(database, "ingest")
    oldest, _ = add_job(database, "finetune"), add_job(database)
    job = claimed(database)
    assert (job.id, job.status, job.attempt, job.fence, job.worker) == (
        oldest.id,
        "running",
        1,
        1,
        "worker-1",
    )
    assert job.started_at is not None
    assert job.lease_until is not None
    assert job.started_at + LEASE_S <= job.lease_until + 1e-3
    assert read(database, job).status == "running"


def test__has_queued__only_what_could_be_claimed_of_these_kinds(database: Database) -> None:
    def seen(*kinds: str) -> bool:
        with database.reading() as uow:
            return uow.jobs.has_queued(kinds)

    assert not seen(*KINDS)
    job = add_job(database, "finetune")
    assert (seen(*KINDS), seen("ingest"), seen()) == (True, False, False)
    claimed(database)
    assert not seen(*KINDS)
    with database.writing() as uow:
        uow.jobs.requeue(job.id, 1)
    assert seen(*KINDS)
    with database.writing() as uow:
        uow.jobs.request_cancel(job.workspace_id, job.id)
    assert not seen(*KINDS)


def test__claim__running_with_live_lease__is_left_alone(database: Database) -> None:
    add_job(database)
    claimed(database)
    assert claim(database) is None


def test__claim__expired_lease__takes_over_and_voids_the_old_fence(database: Database) -> None:
    add_job(database)
    old = claimed(database, EXPIRED)
    new = claimed(database, worker="worker-2")
    assert (new.id, new.attempt, new.fence, new.worker) == (old.id, 2, 2, "worker-2")
    writes: list[Callable[[UnitOfWork], object]] = [
        lambda uow: uow.jobs.heartbeat(old.id, old.fence, LEASE_S, 1, 2, ""),
        lambda uow: uow.jobs.succeed(old.id, old.fence, {}),
        lambda uow: uow.jobs.fail(old.id, old.fence, {}, retry=True),
        lambda uow: uow.jobs.cancelled(old.id, old.fence),
        lambda uow: uow.jobs.requeue(old.id, old.fence),
        lambda uow: uow.jobs.lock_fenced(old.id, old.fence),
    ]
    for write in writes:
        with pytest.raises(FenceLost), database.writing() as uow:
            write(uow)
    current = read(database, old)
    assert (current.status, current.fence, current.progress_step) == ("running", 2, 0)
    with database.reading() as uow:
        types = [event.type for event in uow.jobs.events(old.id)]
    assert types == ["queued", "claimed", "retried", "claimed"]


def test__succeed__with_a_lost_fence__publishes_nothing(database: Database) -> None:
    job = add_job(database)
    old = claimed(database, EXPIRED)
    claimed(database, worker="worker-2")

    def publish() -> None:
        with database.writing() as uow:
            uow.tables.add(job.workspace_id, "published", {})
            uow.jobs.succeed(old.id, old.fence, {})

    with pytest.raises(FenceLost):
        publish()
    with database.reading() as uow:
        assert uow.tables.list(job.workspace_id, 10).items == []


def test__heartbeat__after_the_lease_ran_out_unclaimed__holds_the_job_again(database: Database) -> None:
    add_job(database)
    job = claimed(database, EXPIRED)
    with database.writing() as uow:
        assert not uow.jobs.heartbeat(job.id, job.fence, LEASE_S, 1, 2, "one").cancel_requested
    assert claim(database) is None


def test__heartbeat__unchanged_progress__adds_no_event(database: Database) -> None:
    add_job(database)
    job = claimed(database)
    for _ in range(3):
        with database.writing() as uow:
            uow.jobs.heartbeat(job.id, job.fence, LEASE_S, 5, 10, "half\x00way" + "x" * 2_000)
    with database.reading() as uow:
        events = uow.jobs.events(job.id)
    assert [event.type for event in events] == ["queued", "claimed", "progress"]
    assert events[-1].data["step"] == 5
    assert len(read(database, job).progress_message) == 500
    assert "\x00" not in read(database, job).progress_message


def test__expire__attempts_exhausted__fails_and_reports_once(database: Database) -> None:
    add_job(database, max_attempts=2)
    claimed(database, EXPIRED)
    with database.writing() as uow:
        assert uow.jobs.expire(KINDS) == []
    last = claimed(database, EXPIRED)
    assert last.attempt == 2
    assert claim(database) is None
    with database.writing() as uow:
        assert uow.jobs.expire(("ingest",)) == []
    with database.writing() as uow:
        (job,) = uow.jobs.expire()
    assert (job.id, job.status) == (last.id, "failed")
    assert job.error is not None
    assert job.error["code"] == "attempts_exhausted"
    with database.writing() as uow:
        assert uow.jobs.expire() == []
    with pytest.raises(FenceLost), database.writing() as uow:
        uow.jobs.succeed(last.id, last.fence, {})


def test__expire__worker_died_after_a_cancel__cancels(database: Database) -> None:
    add_job(database)
    job = claimed(database, EXPIRED)
    with database.writing() as uow:
        uow.jobs.request_cancel(job.workspace_id, job.id)
    assert claim(database) is None
    with database.writing() as uow:
        assert [(ended.id, ended.status) for ended in uow.jobs.expire(KINDS)] == [(job.id, "cancelled")]


def test__expire__live_lease__is_left_alone(database: Database) -> None:
    add_job(database, max_attempts=1)
    claimed(database)
    with database.writing() as uow:
        assert uow.jobs.expire() == []


def test__fail__with_attempts_left__queues_again_until_they_are_used_up(database: Database) -> None:
    add_job(database, max_attempts=2)
    error = {"code": "out_of_memory", "message": "…"}
    first = claimed(database)
    with database.writing() as uow:
        assert uow.jobs.fail(first.id, first.fence, error, retry=True) == "queued"
    second = claimed(database)
    assert (second.attempt, second.fence) == (2, 2)
    with database.writing() as uow:
        assert uow.jobs.fail(second.id, second.fence, error, retry=True) == "failed"
    ended = read(database, first)
    assert (ended.status, ended.error, ended.lease_until) == ("failed", error, None)
    assert claim(database) is None


def test__fail__retry_after_a_cancel__is_ended_by_expire(database: Database) -> None:
    add_job(database)
    job = claimed(database)
    with database.writing() as uow:
        uow.jobs.request_cancel(job.workspace_id, job.id)
        assert uow.jobs.fail(job.id, job.fence, {}, retry=True) == "queued"
    assert claim(database) is None
    with database.writing() as uow:
        assert [ended.status for ended in uow.jobs.expire()] == ["cancelled"]


def test__requeue__at_shutdown__uses_no_attempt_and_changes_the_fence(database: Database) -> None:
    add_job(database, max_attempts=1)
    first = claimed(database)
    with database.writing() as uow:
        uow.jobs.requeue(first.id, first.fence)
    with pytest.raises(FenceLost), database.writing() as uow:
        uow.jobs.heartbeat(first.id, first.fence, LEASE_S, 1, 1, "")
    again = claimed(database)
    assert (again.id, again.attempt, again.fence) == (first.id, 1, 2)
    assert again.started_at == read(database, first).started_at


def test__claim__many_threads__each_job_once(database: Database) -> None:
    expected = {add_job(database).id for _ in range(24)}
    barrier = threading.Barrier(8)

    def work(number: int) -> list[str]:
        barrier.wait(20)
        mine: list[str] = []
        while (job := claim(database, worker=f"worker-{number}")) is not None:
            mine.append(job.id)
        return mine

    with ThreadPool(8) as pool:
        taken = Counter(job_id for jobs in pool.map(work, range(8)) for job_id in jobs)
    assert taken == Counter(expected)


@pytest.fixture(scope="module")
def processes() -> Iterator[Pool]:
    """Started once: importing takes longer than what they do."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        yield pool


def test__claim__many_processes__each_job_once_and_done(
    database: Database, database_url: str, processes: Pool
) -> None:
    expected = {add_job(database).id for _ in range(24)}
    arguments = [(database_url, number) for number in range(2)]
    taken = [job for jobs in processes.starmap(claim_all, arguments, chunksize=1) for job in jobs]
    assert Counter(taken) == Counter((job_id, 1) for job_id in expected)
    with database.reading() as uow:
        done = uow.jobs.list(next(iter(uow.workspaces.list())).id, status="succeeded", limit=100)
    assert {job.id for job in done.items} == expected


def test__claim__rival_takeovers_of_one_expired_job__one_wins(database: Database) -> None:
    for round_number in range(1, 4):
        if round_number == 1:
            add_job(database, max_attempts=10)
            claimed(database, EXPIRED)
        barrier = threading.Barrier(4)

        def take_over(_: int, barrier: threading.Barrier = barrier) -> int | None:
            barrier.wait(20)
            job = claim(database)
            return None if job is None else job.fence

        with ThreadPool(4) as pool:
            fences = [fence for fence in pool.map(take_over, range(4)) if fence is not None]
        assert fences == [round_number + 1]
        with database.writing() as uow:  # let the lease run out
            (job,) = uow.jobs.list(next(iter(uow.workspaces.list())).id).items
            uow.jobs.heartbeat(job.id, job.fence, EXPIRED, 0, 0, "")
