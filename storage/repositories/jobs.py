"""Jobs as services see them: add, look up, list, follow, cancel. The worker's side is `JobQueue`.

Events are written at the end of the transaction (`UnitOfWork`), so a unit of work does not see its own.
"""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import func, select, update

from storage.ids import new_id
from storage.orm import Encoder, Head, Job, JobEvent, Table
from storage.orm.base import JsonObject
from storage.repositories.job_queue import JobQueue
from storage.repositories.pagination import MAX_PAGE, Page, fetch_page

_MAX_SEQUENCE = 2**31 - 1
_MAX_ID = 2**63 - 1


class JobRepository(JobQueue):
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
    ) -> Job:
        """A queued job; workers see it once the unit of work has committed.

        `job_id`: a `new_id("job")` made earlier, where other rows had to name the job first.
        """
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
            created_at=at,
        )
        self._session.add(job)
        self._append(job, "queued", {}, at)
        self._session.flush()
        return job

    def get(self, workspace_id: str, job_id: str) -> Job:
        """Raises NotFound (job_not_found), also for another workspace's job."""
        job = self._session.get(Job, job_id)
        if job is None or job.workspace_id != workspace_id:
            raise self._not_found("job", job_id)
        return job

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
    ) -> Page[Job]:
        """Newest first. Raises InvalidCursor."""
        query = select(Job).where(Job.workspace_id == workspace_id)
        if status is not None:
            query = query.where(Job.status == status)
        if table_id is not None:
            query = query.where(Job.table_id == table_id)
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

    def request_cancel(self, workspace_id: str, job_id: str) -> Job:
        """Cancel: a job that is queued or paused at once, a running one at its worker's next heartbeat.

        With a job that never ran goes what was made for it: its encoder and head versions become `cancelled`,
        a table still registering is deleted. A finished job stays as it is.

        Raises:
            NotFound: job_not_found.
        """
        seen = self.get(workspace_id, job_id)
        if seen.kind == "ingest" and seen.table_id is not None:
            self._lock(Table, seen.table_id)  # before the job, as deleting a table does
        job = self._lock_or_raise(Job, job_id)
        if job.status in ("queued", "paused"):
            self._cancel_unstarted(job)
        elif job.status == "running" and not job.cancel_requested:
            self._request_stop(job)
        return job

    def append_event(self, job_id: str, type: str, data: JsonObject) -> None:
        """Add an event of a kind of its own, such as `checkpoint`. Raises NotFound (job_not_found)."""
        job = self._lock_or_raise(Job, job_id)
        self._append(job, type, data, self._now())

    def stop_for_deleted_table(self, job_id: str) -> None:
        """Cancel a waiting job, ask a running one to stop; its table is about to be deleted."""
        job = self._lock(Job, job_id)
        if job is not None and job.status in ("queued", "paused"):
            self._finish(job, "cancelled", error=None, result=None)
            self._release_artifacts([job.id])
        elif job is not None and job.status == "running" and not job.cancel_requested:
            self._request_stop(job)

    def _request_stop(self, job: Job) -> None:
        job.cancel_requested = True
        self._append(job, "cancel_requested", {}, self._now())
        self._session.flush()

    def _cancel_unstarted(self, job: Job) -> None:
        self._finish(job, "cancelled", error=None, result=None)
        for kind, unfinished in ((Encoder, "pretraining"), (Head, "training")):
            self._session.execute(
                update(kind)
                .where(kind.job_id == job.id, kind.status == unfinished)
                .values(status="cancelled")
            )
        self._release_artifacts([job.id])
        if job.kind == "ingest" and job.table_id is not None:
            table = self._session.get(Table, job.table_id, populate_existing=True)
            if table is not None and table.status == "registering":
                self._release_artifacts([table.id])
                self._session.delete(table)
                self._session.flush()
                self._catalog_changed()


def _bounded(number: int, largest: int) -> int:
    """A number from a request (`Last-Event-ID`), held within the column's type."""
    return max(0, min(number, largest))
