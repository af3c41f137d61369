"""Jobs: list, look at, follow, cancel, pause, resume; and the workers that take them."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Collection

from app.schemas.jobs import (
    FINISHED_STATUSES,
    EventBody,
    EventList,
    JobBody,
    JobList,
    WorkerBody,
    WorkerList,
)
from app.schemas.payloads import IngestPayload
from app.schemas.principal import Principal
from app.services.artifacts import remove_unreferenced
from app.services.lookup import table_of
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.orm import Job
from storage.unit_of_work import UnitOfWork

TERMINAL_EVENTS = frozenset({"succeeded", "failed", "cancelled"})
"""After an event of these types a job has no further one."""


FROM_CHECKPOINT = "goes on from its last checkpoint when resumed"
FROM_BEGINNING = "starts from the beginning when resumed: this kind of job keeps no checkpoint"


class JobService:
    """`kinds`: the job kinds there are, each with whether it resumes from a checkpoint."""

    def __init__(self, database: Database, store: ArtifactStore, kinds: dict[str, bool]) -> None:
        self._database = database
        self._store = store
        self._kinds = kinds

    def list(
        self,
        principal: Principal,
        status: str | None,
        table: str | None,
        kind: str | None,
        limit: int,
        cursor: str | None,
    ) -> JobList:
        """Newest first. Raises: NotFound `table_not_found`; InvalidCursor."""
        with self._database.reading() as uow:
            table_id = None if table is None else table_of(uow, principal, table).id
            page = uow.jobs.list(principal.workspace_id, status, table_id, limit, cursor, kind)
            taken = _taken_kinds(uow)
        return JobList(
            jobs=[JobBody.of(job, waiting_for=_waiting_for(job, taken)) for job in page.items],
            next_cursor=page.next_cursor,
        )

    def get(self, principal: Principal, job_id: str) -> JobBody:
        """Raises: NotFound `job_not_found`."""
        with self._database.reading() as uow:
            job = uow.jobs.get(principal.workspace_id, job_id)
            return JobBody.of(job, waiting_for=_waiting_for(job, _taken_kinds(uow)))

    def cancel(self, principal: Principal, job_id: str) -> JobBody:
        """A waiting job ends now, a running one at its worker's next heartbeat; a finished one stays as it is."""
        with self._database.writing() as uow:
            job = uow.jobs.request_cancel(principal.workspace_id, job_id)
            uow.audit.add(principal.workspace_id, principal.key_id, "job.cancel", job.id)
        if job.status == "cancelled" and job.kind == "ingest":  # no worker will see this job
            uploaded = {file.digest for file in IngestPayload.model_validate(job.payload).files}
            remove_unreferenced(self._database, self._store, principal.workspace_id, uploaded)
        return JobBody.of(job)

    def pause(self, principal: Principal, job_id: str) -> JobBody:
        """A waiting job pauses now, a running one when its worker has stopped it; others stay as they are.

        Raises: NotFound `job_not_found`.
        """
        with self._database.writing() as uow:
            job = uow.jobs.request_pause(principal.workspace_id, job_id, "paused before it was started")
            uow.audit.add(principal.workspace_id, principal.key_id, "job.pause", job.id)
        if job.status == "running" and job.pause_requested:
            follows = FROM_CHECKPOINT if self._kinds.get(job.kind) else FROM_BEGINNING
            return JobBody.of(job, message=f"pausing; {follows}")
        return JobBody.of(job)

    def resume(self, principal: Principal, job_id: str) -> JobBody:
        """A paused job waits for a worker again, with its attempts; others stay as they are.

        Raises: NotFound `job_not_found`.
        """
        with self._database.writing() as uow:
            job = uow.jobs.request_resume(principal.workspace_id, job_id)
            uow.audit.add(principal.workspace_id, principal.key_id, "job.resume", job.id)
            return JobBody.of(job, waiting_for=_waiting_for(job, _taken_kinds(uow)))

    def workers(self) -> WorkerList:
        """Workers that are there now, and the kinds of jobs that none of them takes."""
        with self._database.reading() as uow:
            found = uow.workers.list()
        taken = {kind for worker in found for kind in worker.kinds}
        return WorkerList(
            workers=[WorkerBody.model_validate(worker) for worker in found],
            kinds_without_worker=sorted(set(self._kinds) - taken),
        )

    def warnings(self) -> builtins.list[str]:
        """Kinds of jobs that no worker takes at present, in words."""
        return [f"no worker takes {kind} jobs" for kind in self.workers().kinds_without_worker]

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


def _taken_kinds(uow: UnitOfWork) -> Collection[str]:
    return {kind for worker in uow.workers.list() for kind in worker.kinds}


def _waiting_for(job: Job, taken: Collection[str]) -> str | None:
    if job.status != "queued" or job.kind in taken:
        return None
    return f"no worker takes {job.kind} jobs; start one: rootstock worker --kinds {job.kind}"
