"""What users ask of a job: cancel, pause, resume. A running one learns of it with its worker's next heartbeat."""

from __future__ import annotations

from sqlalchemy import update

from storage.orm import Encoder, Head, Job, Table
from storage.repositories.job_queue import JobQueue


class JobRequests(JobQueue):
    def request_cancel(self, workspace_id: str, job_id: str) -> Job:
        """Cancel: a job that is queued or paused at once, a running one at its worker's next heartbeat.

        With a job that never ran goes what was made for it: its encoder and head versions become `cancelled`,
        a table still registering is deleted. A finished job stays as it is.

        Raises:
            NotFound: job_not_found.
        """
        seen = self._of_workspace(workspace_id, job_id)
        if seen.kind == "ingest" and seen.table_id is not None:
            self._lock(Table, seen.table_id)  # before the job, as deleting a table does
        job = self._lock_or_raise(Job, job_id)
        if job.status in ("queued", "paused"):
            self._cancel_unstarted(job)
        elif job.status == "running" and not job.cancel_requested:
            self._request_stop(job)
        return job

    def request_pause(self, workspace_id: str, job_id: str, message: str) -> Job:
        """Pause: a queued job at once, a running one when its worker has stopped it and kept its checkpoint.

        `message` becomes the progress message of a job that is paused at once. One that is paused, about to be, or
        finished stays as it is.

        Raises:
            NotFound: job_not_found.
        """
        self._of_workspace(workspace_id, job_id)
        job = self._lock_or_raise(Job, job_id)
        if job.status == "queued":
            self._pause(job, message)
        elif job.status == "running" and not (job.pause_requested or job.cancel_requested):
            job.pause_requested = True
            self._append(job, "pause_requested", {}, self._now())
            self._session.flush()
        return job

    def request_resume(self, workspace_id: str, job_id: str) -> Job:
        """Resume: a paused job is queued again; a pause that has not taken effect is withdrawn.

        Any other job stays as it is.

        Raises:
            NotFound: job_not_found.
        """
        self._of_workspace(workspace_id, job_id)
        job = self._lock_or_raise(Job, job_id)
        if job.status == "paused":
            job.status = "queued"
            job.progress_message = ""
            self._append(job, "resumed", {}, self._now())
        elif job.status == "running" and job.pause_requested:
            self._append(job, "resumed", {}, self._now())
        job.pause_requested = False
        self._session.flush()
        return job

    def _of_workspace(self, workspace_id: str, job_id: str) -> Job:
        job = self._session.get(Job, job_id)
        if job is None or job.workspace_id != workspace_id:
            raise self._not_found("job", job_id)
        return job

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
