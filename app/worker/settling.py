"""Bring the end of a job into the database: one fenced transaction, whatever the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from app.executors import Failed, Stopped, Succeeded
from app.executors.running import report_unexpected
from app.jobs import AbandonedStatus, JobKind
from app.jobs.contract import ResultOutdated
from app.jobs.recording import stored_digests
from app.services.jobs import FROM_BEGINNING, FROM_CHECKPOINT
from app.worker.scratch import remove_scratch
from app.worker.watching import Outcome, Patience
from models.errors import InputError
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import (
    ArtifactMissing,
    Conflict,
    DatabaseBusy,
    FenceLost,
    NotFound,
    StorageError,
    StoreUnavailable,
)
from storage.orm import Job
from storage.unit_of_work import UnitOfWork

_log = logging.getLogger(__name__)

_BUSY_RETRY_S = (0.2, 0.5, 1.0, 2.0, 4.0, *[8.0] * 36)
"""A finished task may have cost an hour: wait for a database that is busy or away for five minutes."""

ENDED = frozenset({"succeeded", "failed", "cancelled"})


class Settlement:
    """Publishes, fails, cancels or requeues jobs, and clears away what they leave behind."""

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        kinds: Mapping[str, JobKind],
        scratch_dir: Path,
        patience: Patience,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._database = database
        self._store = store
        self._kinds = kinds
        self._scratch_dir = scratch_dir
        self._patience = patience
        self._wait = wait

    def settle(self, job: Job, outcome: Outcome) -> str:
        """Write `outcome`; returns the status the job has now.

        Raises:
            FenceLost: the job is somebody else's by now; nothing was written.
            DatabaseBusy: it stayed busy; the lease runs out and the job runs again.
        """
        for pause_s in (*_BUSY_RETRY_S, None):
            try:
                status, released = self._settle_once(job, outcome)
            except FenceLost:
                raise
            except ResultOutdated:
                outcome = Outcome(Stopped(), "outdated", outcome.progress)
            except StorageError as error:
                if not _may_pass(error):
                    outcome = self._unpublished(job, outcome, error)
                elif pause_s is None:
                    raise
                else:
                    self._wait(pause_s)
            # Broad on purpose, like the executor's edge: a fault in publishing ends the job, not the worker.
            except Exception as error:
                outcome = self._unpublished(job, outcome, error)
            else:
                if status in ENDED:
                    self.clear(job, released)
                return status
        raise AssertionError("unreachable")

    def expire(self, kinds: Collection[str]) -> None:
        """End and abandon jobs whose workers died on the last attempt, or died with a cancel to be seen."""
        with self._database.writing() as uow:
            expired = []
            for job in uow.jobs.expire(kinds):
                self._abandon(uow, job)
                expired.append((job, uow.artifacts.remove_owner(job.id)))
        for job, released in expired:
            _log.warning("job %s %s: its worker is gone", job.id, job.status)
            self.clear(job, released)

    def clear(self, job: Job, released: Collection[str]) -> None:
        """Remove the scratch folder of an ended job, and objects that it stored or used and nothing refers to."""
        scratch = self._scratch_dir / job.id
        try:
            self._delete_unreferenced(job.workspace_id, {*stored_digests(scratch), *released})
        except StorageError as error:  # the periodic sweep will find them
            _log.warning("job %s: objects not removed (%s)", job.id, error.code)
        remove_scratch(scratch)

    def _settle_once(self, job: Job, outcome: Outcome) -> tuple[str, list[str]]:
        with self._database.writing() as uow:
            current = uow.jobs.lock_fenced(job.id, job.fence)
            status = self._write(uow, current, outcome)
            released = uow.artifacts.remove_owner(job.id) if status in ENDED else []
        return status, released

    def _write(self, uow: UnitOfWork, job: Job, outcome: Outcome) -> str:
        if job.cancel_requested:  # also when the task was faster: a cancel that was accepted is kept
            uow.jobs.cancelled(job.id, job.fence)
            self._abandon(uow, job)
            return "cancelled"
        if outcome.progress is not None:
            progress = outcome.progress
            uow.jobs.heartbeat(
                job.id, job.fence, self._patience.lease_s, progress.step, progress.total, progress.message
            )
        match outcome.report:
            case Succeeded(result, usage):
                self._check_stored(uow, job)
                published = {**self._kinds[job.kind].publish(uow, job, result), **(usage or {})}
                uow.jobs.succeed(job.id, job.fence, published)
                return "succeeded"
            case Failed(error, retry):
                status = uow.jobs.fail(job.id, job.fence, error, retry)
                if status == "failed":
                    self._abandon(uow, job)
                return status
            case Stopped() if job.pause_requested:
                uow.jobs.paused(job.id, job.fence, self._paused_message(job))
                return "paused"
            case Stopped():  # for a shutdown; or for a pause that was taken back meanwhile
                reason = "outdated" if outcome.stopped_for == "outdated" else "worker_shutdown"
                uow.jobs.requeue(job.id, job.fence, reason)
                return "queued"

    def _paused_message(self, job: Job) -> str:
        goes_on = self._kinds[job.kind].resumes_from_checkpoint
        return f"paused; {FROM_CHECKPOINT if goes_on else FROM_BEGINNING}"

    def _abandon(self, uow: UnitOfWork, job: Job) -> None:
        status: AbandonedStatus = "cancelled" if job.status == "cancelled" else "failed"
        try:
            self._kinds[job.kind].abandon(uow, job, status, job.error)
        except DatabaseBusy:
            raise
        # Broad on purpose: a job whose payload cannot be read any more must still end, or it would block `expire`
        # and with it the queue. (What the database refuses comes back at the commit.)
        except Exception as error:
            report_unexpected(error, job.id)

    def _check_stored(self, uow: UnitOfWork, job: Job) -> None:
        """What the job stored is about to get its references: a sweep must not have been faster."""
        uow.artifacts.hold()
        for digest in stored_digests(self._scratch_dir / job.id):
            if not self._store.exists(job.workspace_id, digest):
                raise ArtifactMissing("An object that the job stored is gone; the job runs again.")

    def _delete_unreferenced(self, workspace_id: str, digests: Collection[str]) -> None:
        if not digests:
            return
        before = time.time()  # what another job puts from now on is spared
        with self._database.writing() as uow:
            for digest in uow.artifacts.unreferenced(workspace_id, digests):
                self._store.delete(workspace_id, digest, unmodified_since=before)

    def _unpublished(self, job: Job, outcome: Outcome, error: Exception) -> Outcome:
        """The failure that a result becomes which cannot be published."""
        if not isinstance(outcome.report, Succeeded):
            raise RuntimeError(f"the end of job {job.id} cannot be written") from error
        if isinstance(error, InputError | NotFound | Conflict):
            failed = Failed({"code": error.code, "message": error.message}, retry=False)
        else:
            failed = Failed(report_unexpected(error, job.id), retry=True)
        return Outcome(failed, outcome.stopped_for, outcome.progress)


def _may_pass(error: StorageError) -> bool:
    """Whether the database or the store may be back in a moment, so that nothing is decided yet."""
    return isinstance(error, DatabaseBusy | StoreUnavailable) or error.code == "database_unreadable"
