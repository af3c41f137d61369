"""Cancel, shutdown, stall: whoever stops a task, its job is in one clear state afterwards."""

from __future__ import annotations

import pytest

from app.executors import Executor, Succeeded
from app.worker import Patience
from app.worker.watching import Outcome
from tests.app.executors.tasks import eventually, eventually_gone, shared_forkserver
from tests.app.worker.workplace import QUICK, Kept, Workplace

IMPATIENT = Patience(lease_s=5.0, heartbeat_s=0.1, progress_s=0.1, grace_s=0.3)


@pytest.fixture(scope="module")
def forkserver() -> Executor:
    return Kept(shared_forkserver())


def pid_of(workplace: Workplace, job_id: str) -> int:
    return int((workplace.scratch(job_id) / "pid").read_text())


def test__cancel__of_a_running_job__stops_it_and_publishes_nothing(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1_000_000, store="stored and never published")
    with workplace.worker():
        workplace.begun(job_id)
        workplace.cancel(job_id)
        job = workplace.ended(job_id)
        eventually(lambda: not workplace.scratch(job_id).exists(), "the end of the scratch folder")
    assert (job.status, job.error, job.result) == ("cancelled", None, None)
    assert workplace.event_types(job_id) == [
        "queued", "claimed", "cancel_requested", "cancelled", "abandoned",
    ]  # fmt: skip
    assert workplace.objects() == []


def test__cancel__of_a_queued_job__never_runs_it(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    workplace.cancel(job_id)
    later = workplace.queue("count", steps=1)
    with workplace.worker():
        workplace.ended(later)
    assert workplace.event_types(job_id) == ["queued", "cancelled"]


def test__cancel__of_a_task_that_does_not_listen__kills_it(
    workplace: Workplace, forkserver: Executor
) -> None:
    job_id = workplace.queue("hang")
    with workplace.worker(executor=forkserver, patience=IMPATIENT):
        workplace.begun(job_id)
        child = pid_of(workplace, job_id)
        workplace.cancel(job_id)
        assert workplace.ended(job_id).status == "cancelled"
        eventually_gone(child, "the end of the child")


def test__cancel__that_came_before_publication__wins_over_a_finished_task(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    with workplace.database.writing() as uow:
        job = uow.jobs.claim("w", ["count"], 30.0)
    assert job is not None
    workplace.cancel(job_id)
    assert workplace.settlement().settle(job, Outcome(Succeeded({"steps": 1}))) == "cancelled"
    assert "published" not in workplace.event_types(job_id)


def test__cancel__of_an_ended_job__changes_nothing(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    with workplace.worker():
        workplace.ended(job_id)
    workplace.cancel(job_id)
    assert workplace.job(job_id).status == "succeeded"


def test__cancel__whose_worker_died__is_carried_out_by_another(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    with workplace.database.writing() as uow:
        uow.jobs.claim("dead", ["count"], 0.01)
    workplace.cancel(job_id)
    with workplace.worker():
        assert workplace.ended(job_id).status == "cancelled"
    assert "abandoned" in workplace.event_types(job_id)


def test__shutdown__puts_the_job_back_and_the_next_worker_goes_on(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=40, pause_s=0.02)
    with workplace.worker() as stop:
        eventually(lambda: workplace.begun(job_id).progress_step > 2, "some steps")
        stop.set()
    job = workplace.job(job_id)
    assert (job.status, job.attempt) == ("queued", 0)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert job.status == "succeeded"
    assert job.result is not None
    assert job.result["first"] > 2
    assert job.attempt == 1


def test__shutdown__with_a_task_that_does_not_listen__kills_it_and_puts_the_job_back(
    workplace: Workplace, forkserver: Executor
) -> None:
    job_id = workplace.queue("hang")
    with workplace.worker(executor=forkserver, patience=IMPATIENT) as stop:
        workplace.begun(job_id)
        child = pid_of(workplace, job_id)
        stop.set()
    job = workplace.job(job_id)
    assert (job.status, job.attempt) == ("queued", 0)
    eventually_gone(child, "the end of the child")


def test__task__without_a_step_for_long__is_killed_and_fails(
    workplace: Workplace, forkserver: Executor
) -> None:
    patience = Patience(lease_s=5.0, heartbeat_s=0.1, progress_s=0.1, stall_floor_s=1.0, stall_factor=2.0)
    warm = workplace.queue("count", steps=1)
    with workplace.worker(executor=forkserver, patience=QUICK):
        workplace.ended(warm)  # the fork server's own start must not count as a stall
    job_id = workplace.queue("hang", max_attempts=1)
    with workplace.worker(executor=forkserver, patience=patience):
        job = workplace.ended(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "stalled"


def test__child__killed_by_a_signal__is_retried_then_reported(
    workplace: Workplace, forkserver: Executor
) -> None:
    job_id = workplace.queue("die", max_attempts=2, signal=9)
    with workplace.worker(executor=forkserver):
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 2)
    assert job.error is not None
    assert job.error["code"] == "process_killed"
