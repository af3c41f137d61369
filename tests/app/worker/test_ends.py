"""Every job ends exactly once, however its task ends."""

from __future__ import annotations

import errno

import pytest

from app.executors import Execution, InlineExecutor, TaskSpec
from app.worker import supervisor
from tests.app.executors.registry import SECRET
from tests.app.executors.tasks import REGISTRY
from tests.app.worker.workplace import Kept, Workplace


def test__job__that_succeeds__is_published_once_and_leaves_no_scratch(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=3)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert job.status == "succeeded"
    assert job.result is not None
    assert job.result.pop("seconds") > 0
    assert job.result.pop("peak_memory_bytes") > 1 << 20
    assert job.result == {"steps": 3, "first": 0, "attempt": 1, "nothing": None}
    assert workplace.event_types(job_id) == ["queued", "claimed", "published", "succeeded"]
    assert not workplace.scratch(job_id).exists()


def test__job__queued_while_the_worker_is_idle__is_noticed_before_the_next_round(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "IDLE_POLL_S", 3_600.0)
    first = workplace.queue("count", steps=1)
    with workplace.worker():
        workplace.ended(first)
        second = workplace.queue("count", steps=1)
        assert workplace.ended(second).status == "succeeded"


def test__job__with_an_input_error__fails_at_once_with_its_code(workplace: Workplace) -> None:
    job_id = workplace.queue("refuse")
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error == {
        "code": "one_class", "message": "All labels are of one class.", "details": {"num_classes": 1}
    }  # fmt: skip
    assert workplace.event_types(job_id) == ["queued", "claimed", "failed", "abandoned"]


def test__job__with_an_unexpected_error__is_retried_then_fails_without_contents(workplace: Workplace) -> None:
    job_id = workplace.queue("break", max_attempts=2)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 2)
    assert job.error is not None
    assert job.error["code"] == "internal_error"
    assert workplace.event_types(job_id) == [
        "queued", "claimed", "retried", "claimed", "failed", "abandoned",
    ]  # fmt: skip
    assert SECRET not in str([event.data for event in workplace.events(job_id)])


def test__job__that_cannot_be_published__is_retried_then_fails_and_leaves_no_object(
    workplace: Workplace,
) -> None:
    job_id = workplace.queue("unpublishable", max_attempts=2)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 2)
    assert job.error is not None
    assert job.error["code"] == "internal_error"
    assert "published" not in workplace.event_types(job_id)  # rolled back with its transaction
    assert workplace.objects() == []


def test__job__whose_subject_was_deleted__fails_at_once(workplace: Workplace) -> None:
    job_id = workplace.queue("unpublishable", gone=True)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("failed", 1)
    assert job.error is not None
    assert job.error["code"] == "table_not_found"


def test__job__that_cannot_be_abandoned__ends_and_does_not_block_the_queue(workplace: Workplace) -> None:
    stubborn = workplace.queue("unabandonable")
    later = workplace.queue("count", steps=1)
    with workplace.worker():
        assert workplace.ended(stubborn).status == "failed"
        assert workplace.ended(later).status == "succeeded"


def test__job__of_a_kind_of_a_later_version__is_left_in_the_queue(workplace: Workplace) -> None:
    unknown = workplace.queue("distil")
    known = workplace.queue("count", steps=1)
    with workplace.worker():
        assert workplace.ended(known).status == "succeeded"
    assert workplace.job(unknown).status == "queued"


def test__progress__of_a_fast_task__is_written_now_and_then(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=200, pause_s=0.005)
    with workplace.worker():
        workplace.ended(job_id)
    written = [event for event in workplace.events(job_id) if event.type == "progress"]
    assert 1 <= len(written) <= 100
    assert written[-1].data["step"] >= 150


@pytest.mark.parametrize("num_slots", [1, 3])
def test__workers__on_one_queue__publish_each_job_once(workplace: Workplace, num_slots: int) -> None:
    jobs = [workplace.queue("count", steps=2) for _ in range(12)]
    with workplace.worker(num_slots=num_slots), workplace.worker(num_slots=num_slots):
        for job_id in jobs:
            assert workplace.ended(job_id).status == "succeeded"
    for job_id in jobs:
        assert workplace.event_types(job_id) == ["queued", "claimed", "published", "succeeded"]


class _NoProcesses(Kept):
    """An executor on a system that has no process left."""

    def start(self, spec: TaskSpec) -> Execution:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


def test__job__for_which_there_is_no_process__fails_after_its_attempts(workplace: Workplace) -> None:
    job_id = workplace.queue("count", max_attempts=1, steps=1)
    with workplace.worker(executor=_NoProcesses(InlineExecutor(registry=REGISTRY))):
        job = workplace.ended(job_id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "process_not_started"
