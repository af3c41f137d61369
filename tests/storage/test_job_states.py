"""Whatever workers and users do, and in whatever order: a job ends once, by a worker that holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.engine import Database
from storage.errors import FenceLost
from storage.orm import Job
from storage.unit_of_work import UnitOfWork
from tests.storage.rows import add_job

FINISHED = {"succeeded", "failed", "cancelled"}
MAX_ATTEMPTS = 2
ACTIONS = (
    *("claim", "claim and die", "expire", "heartbeat", "cancel"),
    *("succeed", "fail", "retry", "stopped", "requeue"),
)


@dataclass
class Model:
    """What must be true of the job: who holds it, how often it was tried, how it ended."""

    job: Job
    fences: list[int] = field(default_factory=lambda: [0, 0])  # of each worker's last claim; 0: never
    holder_fence: int = 0
    attempts: int = 0
    status: str = "queued"
    is_lease_over: bool = False
    is_cancelled: bool = False


def _claim(uow: UnitOfWork, model: Model, worker: int, *, dies: bool) -> None:
    job = uow.jobs.claim(f"worker-{worker}", ["pretrain"], -1.0 if dies else 60.0)
    is_free = model.status == "queued" or (
        model.status == "running" and model.is_lease_over and model.attempts < MAX_ATTEMPTS
    )
    assert (job is not None) == (is_free and not model.is_cancelled)
    if job is not None:
        assert job.fence > model.holder_fence
        model.fences[worker] = model.holder_fence = job.fence
        model.attempts, model.status, model.is_lease_over = model.attempts + 1, "running", dies


def _expire(uow: UnitOfWork, model: Model) -> None:
    ended = [job.status for job in uow.jobs.expire()]
    is_unheld = model.status == "queued" or (model.status == "running" and model.is_lease_over)
    if is_unheld and model.is_cancelled:
        assert ended == ["cancelled"]
    elif is_unheld and model.status == "running" and model.attempts == MAX_ATTEMPTS:
        assert ended == ["failed"]
    else:
        assert ended == []
    if ended:
        model.status, model.holder_fence = ended[0], model.holder_fence + 1


def _write(uow: UnitOfWork, model: Model, action: str, fence: int) -> None:
    """A worker's write: what it does when the fence holds."""
    jobs, job_id = uow.jobs, model.job.id
    match action:
        case "heartbeat":
            assert jobs.heartbeat(job_id, fence, 60.0, 1, 2, "").cancel_requested == model.is_cancelled
            model.is_lease_over = False
        case "succeed":
            model.status = jobs.succeed(job_id, fence, {}).status
        case "fail":
            model.status = jobs.fail(job_id, fence, {"code": "x"}, retry=False)
        case "retry":
            model.status = jobs.fail(job_id, fence, {"code": "x"}, retry=True)
            assert model.status == ("queued" if model.attempts < MAX_ATTEMPTS else "failed")
        case "stopped":
            model.status = jobs.cancelled(job_id, fence).status
        case _:
            model.status = jobs.requeue(job_id, fence).status
            model.attempts -= 1


def _act(uow: UnitOfWork, model: Model, action: str, worker: int) -> None:
    match action:
        case "claim" | "claim and die":
            _claim(uow, model, worker, dies=action == "claim and die")
        case "expire":
            _expire(uow, model)
        case "cancel":
            status = uow.jobs.request_cancel(model.job.workspace_id, model.job.id).status
            model.is_cancelled = model.is_cancelled or model.status == "running"
            if model.status == "queued":
                model.status = "cancelled"
            assert status == model.status
        case _:
            fence = model.fences[worker]
            holds = model.status == "running" and fence == model.holder_fence
            try:
                _write(uow, model, action, fence)
            except FenceLost:
                assert not holds
            else:
                assert holds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(actions=st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1)), max_size=14))
def test__job__any_sequence_of_actions__ends_at_most_once(
    database: Database, actions: list[tuple[str, int]]
) -> None:
    model = Model(add_job(database, max_attempts=MAX_ATTEMPTS))
    for action, worker in actions:
        with database.writing() as uow:
            _act(uow, model, action, worker)
    with database.writing() as uow:
        job = uow.jobs.get(model.job.workspace_id, model.job.id)
        events = uow.jobs.events(job.id)
        assert (job.status, job.attempt) == (model.status, model.attempts)
        assert 0 <= job.attempt <= MAX_ATTEMPTS
        assert (job.finished_at is not None) == (job.status in FINISHED)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        ends = [event.type for event in events if event.type in FINISHED]
        assert ends == ([job.status] if job.status in FINISHED else [])
        uow.session.delete(job)  # the next example begins without it
