"""A worker that lost its lease writes nothing; what dead workers held is taken over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.executors import Failed, Stopped, Succeeded
from app.jobs.recording import RecordingStore
from app.worker import Patience
from app.worker.scratch import sweep_scratch
from app.worker.watching import Outcome
from storage.engine import Database
from storage.errors import FenceLost
from storage.orm import Job
from tests.app.executors.tasks import eventually
from tests.app.worker.workplace import Workplace
from tests.platforms import Platform


@pytest.fixture
def workplace(own_platform: Platform, tmp_path: Path) -> Iterator[Workplace]:
    """On either platform, instead of the one of this folder."""
    workplace = Workplace(tmp_path / "home", **own_platform.settings)
    yield workplace
    workplace.container.close()


ABSENT_MINDED = Patience(lease_s=0.2, heartbeat_s=3_600.0, progress_s=3_600.0)
"""A worker whose lease runs out under its running task: as after a suspended machine."""


def claimed(workplace: Workplace, lease_s: float = 30.0) -> Job:
    with workplace.database.writing() as uow:
        job = uow.jobs.claim("by-hand", ["count"], lease_s)
    assert job is not None
    return job


def test__worker__whose_lease_ran_out__publishes_nothing(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=100, pause_s=0.02)
    with workplace.worker(patience=ABSENT_MINDED):
        eventually(lambda: workplace.job(job_id).status == "running", "the first claim")
        with workplace.worker():
            job = workplace.ended(job_id)
    published = [event.data["fence"] for event in workplace.events(job_id) if event.type == "published"]
    assert job.status == "succeeded"
    assert job.fence >= 2
    assert published == [job.fence]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(Succeeded({"steps": 1})),
        Outcome(Failed({"code": "x", "message": "y"}, retry=False)),
        Outcome(Stopped(), "shutdown"),
        Outcome(Stopped(), "cancel"),
    ],
    ids=["succeeded", "failed", "shutdown", "cancelled"],
)
def test__settlement__with_an_old_fence__writes_nothing(workplace: Workplace, outcome: Outcome) -> None:
    job_id = workplace.queue("count", steps=1)
    old = claimed(workplace, lease_s=0.0)
    eventually(lambda: claim_again(workplace), "the lease to run out")
    before = workplace.event_types(job_id)
    with pytest.raises(FenceLost):
        workplace.settlement().settle(old, outcome)
    assert workplace.event_types(job_id) == before
    assert workplace.job(job_id).status == "running"


def claim_again(workplace: Workplace) -> bool:
    with workplace.database.writing() as uow:
        return uow.jobs.claim("another", ["count"], 30.0) is not None


def test__job__of_a_worker_that_died__is_taken_over(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=2)
    claimed(workplace, lease_s=0.05)
    with workplace.worker():
        job = workplace.ended(job_id)
    assert (job.status, job.attempt) == ("succeeded", 2)


def test__job__whose_workers_always_die__fails_and_is_abandoned_and_cleared(workplace: Workplace) -> None:
    job_id = workplace.queue("count", max_attempts=1, steps=2)
    job = claimed(workplace, lease_s=0.05)
    scratch = workplace.scratch(job.id)
    scratch.mkdir(parents=True)
    RecordingStore(workplace.store, scratch).put_bytes(workplace.workspace_id, b"left behind")
    with workplace.worker():
        job = workplace.ended(job_id)
        eventually(lambda: not scratch.exists(), "the end of the scratch folder")
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["code"] == "attempts_exhausted"
    assert "abandoned" in workplace.event_types(job_id)
    assert workplace.objects() == []


def test__settlement__when_a_stored_object_is_gone__runs_the_job_again(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    job = claimed(workplace)
    scratch = workplace.scratch(job.id)
    scratch.mkdir(parents=True)
    digest = RecordingStore(workplace.store, scratch).put_bytes(workplace.workspace_id, b"swept too early")
    workplace.store.delete(workplace.workspace_id, digest)
    assert workplace.settlement().settle(job, Outcome(Succeeded({}))) == "queued"
    assert "published" not in workplace.event_types(job_id)


def test__settlement__while_the_database_is_busy__waits_for_it(workplace: Workplace) -> None:
    job_id = workplace.queue("count", steps=1)
    job = claimed(workplace)
    # Zero is "never" to PostgreSQL.
    patience_s = 0 if workplace.database.dialect == "sqlite" else 1
    impatient = Database.open(workplace.settings.database_url, lock_timeout_s=patience_s)
    waited: list[float] = []
    with ExitStack() as lock:
        lock.enter_context(workplace.database.writing()).jobs.lock_fenced(job.id, job.fence)

        def wait(seconds: float) -> None:
            waited.append(seconds)
            lock.close()

        settlement = workplace.settlement(database=impatient, wait=wait)
        assert settlement.settle(job, Outcome(Succeeded({"steps": 1}))) == "succeeded"
    impatient.dispose()
    assert len(waited) == 1
    assert workplace.event_types(job_id).count("published") == 1


def test__object__that_another_owner_uses__outlives_the_job(workplace: Workplace) -> None:
    workplace.queue("count", steps=1)
    job = claimed(workplace)
    scratch = workplace.scratch(job.id)
    scratch.mkdir(parents=True)
    digest = RecordingStore(workplace.store, scratch).put_bytes(workplace.workspace_id, b"shared")
    with workplace.database.writing() as uow:
        uow.artifacts.add(workplace.workspace_id, digest, 6, "snp_of_another")
    failed = Outcome(Failed({"code": "x", "message": "y"}, retry=False))
    assert workplace.settlement().settle(job, failed) == "failed"
    assert workplace.objects() == [digest]


def test__scratch__of_ended_and_unknown_jobs__is_swept(workplace: Workplace) -> None:
    queued = workplace.queue("count", steps=1)
    cancelled = workplace.queue("count", steps=1)
    workplace.cancel(cancelled)
    for name in (queued, cancelled, "job_of_another_database"):
        workplace.scratch(name).mkdir(parents=True)
    assert sweep_scratch(workplace.database, workplace.settings.scratch_dir) == 2
    assert workplace.scratch(queued).exists()
