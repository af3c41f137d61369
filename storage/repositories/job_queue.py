"""The worker's side of the jobs table: claim, lease, fence, finish.

      ┌───────────────pause──────────────▶ paused ──cancel──▶ cancelled
      │ ┌──────────────resume───────────────┘ ▲
      │ ▼                                     │
    queued ──claim──▶ running ──stopped, pause requested
      ▲                 │ │ └──succeed──▶ succeeded
      │                 │ ├────fail(retry=False), attempts exhausted──▶ failed
      └─requeue, retry──┘ └────cancelled──▶ cancelled

A job that was asked to pause is never queued again by its worker nor claimed from a dead one: it becomes `paused`
wherever it would have become `queued`.

Each claim adds one to `attempt` and to `fence`. Every write of a worker carries the fence it claimed with and
raises FenceLost once the job was claimed again or has finished; run it in the same unit of work as what the job
publishes, and nothing of a worker that lost its lease becomes visible.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, and_, or_, select

from storage.errors import FenceLost
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.repositories.base import PendingEvent, Repository

MAX_MESSAGE_CHARS = 500
FINISHED = ("succeeded", "failed", "cancelled")
UNFINISHED = ("queued", "running", "paused")
UNTIL_END = "until_end"
"""What a payload has under this name goes when the job ends, however it ends."""
_EXPIRED_BATCH = 20


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """What a worker learns from its heartbeat."""

    cancel_requested: bool
    pause_requested: bool = False


class JobQueue(Repository):
    def claim(self, worker: str, kinds: Collection[str], lease_s: float) -> Job | None:
        """The oldest job of `kinds` that is queued or whose worker's lease ran out, leased to `worker`.

        Run it in a short unit of work of its own: nobody else sees the claim before its commit. Jobs out of
        attempts and jobs asked to cancel or pause are left to `expire`.
        """
        if not kinds:
            return None
        at = self._now()
        query = (
            select(Job)
            .where(
                *_wanted(kinds),
                or_(Job.status == "queued", and_(self._is_expired(at), Job.attempt < Job.max_attempts)),
            )
            .order_by(Job.created_at, Job.id)
            .limit(1)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        job = self._session.scalars(query).one_or_none()
        if job is None:
            return None
        at = self._now()
        if job.status == "running":
            self._append(job, "retried", {"reason": "lease_expired", "worker": job.worker}, at)
        job.status = "running"
        job.attempt += 1
        job.fence += 1
        job.worker = worker
        job.lease_until = at + lease_s
        job.started_at = at if job.started_at is None else job.started_at
        self._append(job, "claimed", {"worker": worker, "attempt": job.attempt}, at)
        self._session.flush()
        return job

    def has_queued(self, kinds: Collection[str]) -> bool:
        """Whether a job of `kinds` waits to be claimed; a glance that locks nothing."""
        query = select(Job.id).where(*_wanted(kinds), Job.status == "queued")
        return self._session.scalars(query.limit(1)).first() is not None

    def expire(self, kinds: Collection[str] | None = None) -> list[Job]:
        """End the jobs that nobody will end: call before `claim`, and abandon each returned job in the same unit.

        Jobs whose lease ran out on their last attempt become `failed` (error code attempts_exhausted); jobs
        that were asked to cancel and have no worker any more become `cancelled`. Those that were asked to pause become
        `paused`, which is no end: they are not returned. At most 20 at a time.
        """
        at = self._now()
        self._pause_expired(kinds, at)
        unleased = or_(Job.status == "queued", self._is_expired(at))
        query = (
            select(Job)
            .where(
                or_(
                    and_(Job.cancel_requested.is_(True), unleased),
                    and_(self._is_expired(at), Job.attempt >= Job.max_attempts),
                )
            )
            .order_by(Job.created_at, Job.id)
            .limit(_EXPIRED_BATCH)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        if kinds is not None:
            query = query.where(Job.kind.in_(sorted(kinds)))
        jobs = list(self._session.scalars(query))
        for job in jobs:
            if job.cancel_requested:
                self._finish(job, "cancelled", error=None, result=None)
            else:
                error = {
                    "code": "attempts_exhausted",
                    "message": f"The worker stopped without a sign of life {job.attempt} times; see its log, then start the job again.",
                }
                self._finish(job, "failed", error=error, result=None)
            job.fence += 1
        self._session.flush()
        return jobs

    def heartbeat(
        self, job_id: str, fence: int, lease_s: float, step: int, total: int, message: str
    ) -> HeartbeatAnswer:
        """Extend the lease and record progress; a `progress` event is added only when progress changed.

        Call it every few seconds, not per step. Raises FenceLost.
        """
        job = self.lock_fenced(job_id, fence)
        at = self._now()
        message = message.replace("\x00", "")[:MAX_MESSAGE_CHARS]
        job.lease_until = at + lease_s
        if (job.progress_step, job.progress_total, job.progress_message) != (step, total, message):
            job.progress_step, job.progress_total, job.progress_message = step, total, message
            self._append(job, "progress", {"step": step, "total": total, "message": message}, at)
        self._session.flush()
        return HeartbeatAnswer(job.cancel_requested, job.pause_requested)

    def succeed(self, job_id: str, fence: int, result: JsonObject) -> Job:
        """`running` becomes `succeeded`, also when a cancel came too late. Raises FenceLost."""
        return self._finish(self.lock_fenced(job_id, fence), "succeeded", error=None, result=result)

    def fail(
        self, job_id: str, fence: int, error: JsonObject, retry: bool
    ) -> Literal["queued", "paused", "failed"]:
        """`running` becomes `queued` when `retry` and attempts are left, else `failed`; returns which.

        One that was asked to pause becomes `paused` instead of `queued`. On "failed" abandon the job in the same
        unit of work. Raises FenceLost.
        """
        job = self.lock_fenced(job_id, fence)
        if retry and job.attempt < job.max_attempts:
            self._release(job, "retried", {"reason": "error", "attempt": job.attempt, "error": error})
            return "paused" if job.status == "paused" else "queued"
        self._finish(job, "failed", error=error, result=None)
        return "failed"

    def cancelled(self, job_id: str, fence: int) -> Job:
        """`running` becomes `cancelled`: the worker has stopped as asked. Raises FenceLost."""
        return self._finish(self.lock_fenced(job_id, fence), "cancelled", error=None, result=None)

    def requeue(self, job_id: str, fence: int, reason: str = "worker_shutdown") -> Job:
        """`running` becomes `queued` without using up an attempt: the worker shuts down, or what the job started from
        has changed. Raises FenceLost."""
        job = self.lock_fenced(job_id, fence)
        job.attempt -= 1
        self._release(job, "retried", {"reason": reason, "attempt": job.attempt + 1})
        return job

    def paused(self, job_id: str, fence: int, message: str) -> Job:
        """`running` becomes `paused` without using up an attempt: the worker has stopped as asked. Raises FenceLost."""
        job = self.lock_fenced(job_id, fence)
        job.attempt -= 1
        self._pause(job, message)
        return job

    def lock_fenced(self, job_id: str, fence: int) -> Job:
        """The running job, locked until the end of the transaction: open a publishing unit of work with it.

        Raises FenceLost.
        """
        job = self._lock(Job, job_id)
        if job is None or job.fence != fence or job.status != "running":
            status = "gone" if job is None else job.status
            raise FenceLost(
                f"Fence {fence} does not hold job {job_id} any more (it is {status}); stop working on it.",
                status=status,
            )
        return job

    def _pause_expired(self, kinds: Collection[str] | None, at: float) -> None:
        query = (
            select(Job)
            .where(
                Job.pause_requested.is_(True),
                Job.cancel_requested.is_(False),
                self._is_expired(at),
                Job.attempt < Job.max_attempts,
            )
            .order_by(Job.created_at, Job.id)
            .limit(_EXPIRED_BATCH)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
        if kinds is not None:
            query = query.where(Job.kind.in_(sorted(kinds)))
        for job in self._session.scalars(query):
            job.fence += 1
            self._pause(job, "paused; its worker had stopped without a sign of life")

    def _pause(self, job: Job, message: str) -> None:
        job.status = "paused"
        job.pause_requested = False
        job.worker = None
        job.lease_until = None
        job.progress_message = message[:MAX_MESSAGE_CHARS]
        self._append(job, "paused", {"message": job.progress_message}, self._now())
        self._session.flush()

    def _release(self, job: Job, event: str, data: JsonObject) -> None:
        if job.pause_requested:
            self._append(job, event, data, self._now())
            self._pause(job, "paused; the attempt before the pause had failed")
            return
        job.status = "queued"
        job.worker = None
        job.lease_until = None
        self._append(job, event, data, self._now())
        self._session.flush()

    def _finish(
        self,
        job: Job,
        status: Literal["succeeded", "failed", "cancelled"],
        *,
        error: JsonObject | None,
        result: JsonObject | None,
    ) -> Job:
        at = self._now()
        job.status = status
        job.error = error
        job.result = result
        if UNTIL_END in job.payload:
            job.payload = {name: value for name, value in job.payload.items() if name != UNTIL_END}
        job.pause_requested = False
        job.lease_until = None
        job.finished_at = at
        self._append(job, status, {} if error is None else {"error": error}, at)
        self._session.flush()
        return job

    def _append(self, job: Job, event_type: str, data: JsonObject, at: float) -> None:
        self._changes.events.append(PendingEvent(job.id, event_type, data, at))

    @staticmethod
    def _is_expired(at: float) -> ColumnElement[bool]:
        return and_(Job.status == "running", Job.lease_until < at)


def _wanted(kinds: Collection[str]) -> tuple[ColumnElement[bool], ...]:
    """Of these kinds, and nobody asked to end or to hold them."""
    return Job.kind.in_(sorted(kinds)), Job.cancel_requested.is_(False), Job.pause_requested.is_(False)
