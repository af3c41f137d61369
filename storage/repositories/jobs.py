"""Jobs as services see them: add, look up, list, follow, forget.

What users ask of a job (cancel, pause, resume) is `JobRequests`; the worker's side is `JobQueue`.

Events are written at the end of the transaction (`UnitOfWork`), so a unit of work does not see its own.
"""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import and_, delete, exists, func, or_, select

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Encoder, Head, Job, JobEvent
from storage.orm.base import JsonObject
from storage.repositories.base import batched
from storage.repositories.job_queue import FINISHED, UNFINISHED
from storage.repositories.job_requests import JobRequests
from storage.repositories.pagination import MAX_PAGE, Page, fetch_page

ERASE = "erase"  # the kind of job that changes what is fixed otherwise
_MAX_SEQUENCE = 2**31 - 1
_MAX_ID = 2**63 - 1
_PURGE_BATCH = 500  # parameters of one statement


class JobRepository(JobRequests):
    def add(
        self,
        workspace_id: str,
        kind: str,
        payload: JsonObject,
        subject_id: str | None,
        table_id: str | None,
        max_attempts: int = 3,
        *,
        job_id: str | None = None,
        estimate: JsonObject | None = None,
    ) -> Job:
        """A queued job; workers see it once the unit of work has committed.

        `job_id`: a `new_id("job")` made earlier, where other rows had to name the job first. `estimate`: what it
        may take (`app.services.estimates`).

        Raises:
            Conflict: erasure_in_progress, while rows of the table are being erased: the job would read them before.
        """
        if table_id is not None and self.unfinished(table_id, kind=ERASE):
            raise Conflict(
                "Rows of this table are being erased; send it again when that job has ended.",
                code="erasure_in_progress",
            )
        at = self._now()
        job = Job(
            id=job_id or new_id("job"),
            workspace_id=workspace_id,
            kind=kind,
            status="queued",
            subject_id=subject_id,
            table_id=table_id,
            payload=payload,
            max_attempts=max_attempts,
            estimate=estimate,
            created_at=at,
        )
        self._session.add(job)
        self._append(job, "queued", {}, at)
        self._session.flush()
        return job

    def unfinished(self, table_id: str, kind: str | None = None) -> builtins.list[Job]:
        """Jobs of the table that are queued, running or paused, oldest first."""
        query = select(Job).where(Job.table_id == table_id, Job.status.in_(UNFINISHED))
        if kind is not None:
            query = query.where(Job.kind == kind)
        return builtins.list(self._session.scalars(query.order_by(Job.created_at, Job.id)))

    def get(self, workspace_id: str, job_id: str) -> Job:
        """Raises NotFound (job_not_found), also for another workspace's job."""
        return self._of_workspace(workspace_id, job_id)

    def find(self, job_id: str) -> Job | None:
        """The job of any workspace: for workers and the event tailer, never for a request."""
        return self._session.get(Job, job_id)

    def list(
        self,
        workspace_id: str,
        status: str | None = None,
        table_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        kind: str | None = None,
    ) -> Page[Job]:
        """Newest first. Raises InvalidCursor."""
        query = select(Job).where(Job.workspace_id == workspace_id)
        if status is not None:
            query = query.where(Job.status == status)
        if table_id is not None:
            query = query.where(Job.table_id == table_id)
        if kind is not None:
            query = query.where(Job.kind == kind)
        return fetch_page(
            self._session, query, listing="jobs", at=Job.created_at, row_id=Job.id, limit=limit, cursor=cursor
        )

    def events(self, job_id: str, after_sequence: int = 0, limit: int = MAX_PAGE) -> builtins.list[JobEvent]:
        """Events of one job with `sequence > after_sequence`, in order."""
        query = select(JobEvent).where(
            JobEvent.job_id == job_id, JobEvent.sequence > _bounded(after_sequence, _MAX_SEQUENCE)
        )
        return builtins.list(self._session.scalars(query.order_by(JobEvent.sequence).limit(limit)))

    def events_since(self, event_id: int, limit: int = MAX_PAGE) -> builtins.list[JobEvent]:
        """Events of all jobs with `id > event_id`, in the order of their commits: none appears late."""
        query = (
            select(JobEvent)
            .where(JobEvent.id > _bounded(event_id, _MAX_ID))
            .order_by(JobEvent.id)
            .limit(limit)
        )
        return builtins.list(self._session.scalars(query))

    def last_event_id(self) -> int:
        """Where a tailer that starts now begins; 0 before the first event."""
        return int(self._session.scalar(select(func.max(JobEvent.id))) or 0)

    def append_event(self, job_id: str, type: str, data: JsonObject) -> None:
        """Add an event of a kind of its own, such as `checkpoint`. Raises NotFound (job_not_found)."""
        job = self._lock_or_raise(Job, job_id)
        self._append(job, type, data, self._now())

    def purge(self, older_than_s: float, limit: int = 1_000) -> int:
        """Forget jobs that ended longer ago than that many seconds, with their events; returns how many, at most
        `limit`.

        A job that a head or encoder version names stays as long as the version, without its events.
        """
        before = self._now() - older_than_s
        ended = and_(Job.status.in_(FINISHED), Job.finished_at < before)
        is_named = or_(
            exists().where(Head.job_id == Job.id).correlate(Job),
            exists().where(Encoder.job_id == Job.id).correlate(Job),
        )
        old = builtins.list(
            self._session.scalars(select(Job.id).where(ended, ~is_named).order_by(Job.id).limit(limit))
        )
        for chunk in batched(old, _PURGE_BATCH):
            self._session.execute(delete(JobEvent).where(JobEvent.job_id.in_(chunk)))
            self._session.execute(delete(Job).where(Job.id.in_(chunk)))
        has_events = exists().where(JobEvent.job_id == Job.id).correlate(Job)
        named = builtins.list(
            self._session.scalars(
                select(Job.id).where(ended, is_named, has_events).order_by(Job.id).limit(limit)
            )
        )
        for chunk in batched(named, _PURGE_BATCH):
            self._session.execute(delete(JobEvent).where(JobEvent.job_id.in_(chunk)))
        return len(old)


def _bounded(number: int, largest: int) -> int:
    """A number from a request (`Last-Event-ID`), held within the column's type."""
    return max(0, min(number, largest))
