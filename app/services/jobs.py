"""Jobs: list, look at, follow, cancel."""

from __future__ import annotations

from app.schemas.jobs import FINISHED_STATUSES, EventBody, EventList, JobBody, JobList
from app.schemas.payloads import IngestPayload
from app.schemas.principal import Principal
from app.services.artifacts import remove_unreferenced
from app.services.lookup import table_of
from storage.artifacts import ArtifactStore
from storage.engine import Database

TERMINAL_EVENTS = frozenset({"succeeded", "failed", "cancelled"})
"""After an event of these types a job has no further one."""


class JobService:
    def __init__(self, database: Database, store: ArtifactStore) -> None:
        self._database = database
        self._store = store

    def list(
        self, principal: Principal, status: str | None, table: str | None, limit: int, cursor: str | None
    ) -> JobList:
        """Newest first. Raises: NotFound `table_not_found`; InvalidCursor."""
        with self._database.reading() as uow:
            table_id = None if table is None else table_of(uow, principal, table).id
            page = uow.jobs.list(principal.workspace_id, status, table_id, limit, cursor)
        return JobList(jobs=[JobBody.of(job) for job in page.items], next_cursor=page.next_cursor)

    def get(self, principal: Principal, job_id: str) -> JobBody:
        """Raises: NotFound `job_not_found`."""
        with self._database.reading() as uow:
            return JobBody.of(uow.jobs.get(principal.workspace_id, job_id))

    def cancel(self, principal: Principal, job_id: str) -> JobBody:
        """A waiting job ends now, a running one at its worker's next heartbeat; a finished one stays as it is."""
        with self._database.writing() as uow:
            job = uow.jobs.request_cancel(principal.workspace_id, job_id)
            uow.audit.add(principal.workspace_id, principal.key_id, "job.cancel", job.id)
        if job.status == "cancelled" and job.kind == "ingest":  # no worker will see this job
            uploaded = {file.digest for file in IngestPayload.model_validate(job.payload).files}
            remove_unreferenced(self._database, self._store, principal.workspace_id, uploaded)
        return JobBody.of(job)

    def events(self, principal: Principal, job_id: str, after: int, limit: int) -> EventList:
        """Events with a sequence above `after`, in order. Raises: NotFound `job_not_found`."""
        with self._database.reading() as uow:
            job = uow.jobs.get(principal.workspace_id, job_id)
            events = [EventBody.of(event) for event in uow.jobs.events(job.id, after, limit)]
        is_last = job.status in FINISHED_STATUSES and len(events) < limit
        return EventList(
            events=events,
            next_cursor=events[-1].sequence if events else after,
            finished=is_last or any(event.type in TERMINAL_EVENTS for event in events),
        )
