"""Pause keeps a checkpoint and the attempt; resume goes on from there, on any worker."""

from __future__ import annotations

import pytest

from app.executors import Failed, InlineExecutor, Stopped, Succeeded
from app.services.jobs import FROM_BEGINNING, FROM_CHECKPOINT
from app.worker import Patience, Worker
from app.worker.watching import Outcome
from storage.orm import Job
from tests.app.executors.registry import JOB_KINDS
from tests.app.executors.tasks import REGISTRY, eventually
from tests.app.worker.workplace import Workplace


def claimed(workplace: Workplace, lease_s: float = 30.0) -> Job:
    with workplace.database.writing() as uow:
        job = uow.jobs.claim("by-hand", list(JOB_KINDS), lease_s)
    assert job is not None
    return job


def test__running_job__paused_then_resumed_by_another_worker__goes_on_from_its_checkpoint(
    workplace: Workplace,
) -> None:
    job_id = workplace.queue("count", max_attempts=1, steps=60, pause_s=0.02)
    with workplace.worker():
        workplace.begun(job_id)
        eventually(lambda: workplace.job(job_id).progress_step >= 2, "a few steps")
        workplace.pause(job_id)
        eventually(lambda: workplace.job(job_id).status == "paused", "the pause")
    paused = workplace.job(job_id)
    assert (paused.attempt, paused.pause_requested, paused.worker) == (0, False, None)
    assert paused.progress_message == f"paused; {FROM_CHECKPOINT}"
    assert workplace.scratch(job_id).is_dir()
    with workplace.worker():  # a restart finds it paused and leaves it alone
        other = workplace.queue("count", steps=1)
        workplace.ended(other)
        assert workplace.job(job_id).status == "paused"
        workplace.resume(job_id)
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("succeeded", 1)
    assert job.result is not None
    assert job.result["first"] >= 2
    assert workplace.event_types(job_id) == [
        "queued", "claimed", "pause_requested", "paused", "resumed", "claimed", "published", "succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(Stopped(), "pause"), "paused"),
        (Outcome(Stopped(), "shutdown"), "paused"),
        (Outcome(Failed({"code": "x", "message": "y"}, retry=True), "pause"), "paused"),
        (Outcome(Failed({"code": "x", "message": "y"}, retry=False), "pause"), "failed"),
        (Outcome(Succeeded({"steps": 1}), "pause"), "succeeded"),
    ],
    ids=["stopped", "shutdown", "retriable", "refused", "faster"],
)
def test__settlement__of_a_job_to_be_paused__pauses_instead_of_queueing(
    workplace: Workplace, outcome: Outcome, status: str
) -> None:
    job_id = workplace.queue("count", steps=1)
    job = claimed(workplace)
    workplace.pause(job_id)
    assert workplace.settlement().settle(job, outcome) == status
    assert workplace.job(job_id).status == status
    assert workplace.job(job_id).pause_requested is False


def test__pause__taken_back_before_it_took_effect__queues_the_job_again(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    job = claimed(workplace)
    workplace.pause(job_id)
    workplace.resume(job_id)
    assert workplace.settlement().settle(job, Outcome(Stopped(), "pause")) == "queued"
    assert workplace.job(job_id).attempt == 0


def test__pause__whose_worker_died__takes_effect_without_it(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    claimed(workplace, lease_s=0.05)
    workplace.pause(job_id)
    with workplace.worker():
        eventually(lambda: workplace.job(job_id).status == "paused", "the pause")
        workplace.resume(job_id)
        assert workplace.ended(job_id).status == "succeeded"


def test__paused_job__cancelled__ends_and_is_not_resumed(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    workplace.pause(job_id)
    workplace.cancel(job_id)
    workplace.resume(job_id)
    assert workplace.job(job_id).status == "cancelled"


def test__job__that_keeps_no_checkpoint__says_that_it_begins_anew(workplace: Workplace) -> None:
    job_id = workplace.queue("refuse")
    job = claimed(workplace)
    workplace.pause(job_id)
    workplace.settlement().settle(job, Outcome(Stopped(), "pause"))
    assert workplace.job(job_id).progress_message == f"paused; {FROM_BEGINNING}"


def test__worker__of_some_kinds__takes_and_announces_only_these(workplace: Workplace) -> None:
    worker = Worker(
        workplace.container,
        kinds=["refuse"],
        executor=InlineExecutor(registry=REGISTRY),
        patience=Patience(),
        job_kinds=JOB_KINDS,
    )
    other = workplace.queue("count", steps=1)
    mine = workplace.queue("refuse")
    with workplace.running(worker):
        assert workplace.ended(mine).status == "failed"
        with workplace.database.reading() as uow:
            (present,) = uow.workers.list()
        assert (present.name, present.kinds, present.device) == (worker.name, ["refuse"], "cpu")
    assert workplace.job(other).status == "queued"
    with workplace.database.reading() as uow:
        assert uow.workers.list() == []  # it left in order


@pytest.mark.parametrize(
    ("estimate", "code"),
    [
        ({"disk_bytes": 1 << 60, "memory_bytes": 0}, "disk_full"),
        ({"disk_bytes": 0, "memory_bytes": 1 << 60}, "would_not_fit"),
    ],
)
def test__job__without_room_on_the_worker__fails_before_it_starts(
    workplace: Workplace, estimate: dict[str, int], code: str
) -> None:
    with workplace.database.writing() as uow:
        job_id = uow.jobs.add(workplace.workspace_id, "count", {"steps": 1}, None, None, estimate=estimate).id
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == code
    assert "abandoned" in workplace.event_types(job_id)
