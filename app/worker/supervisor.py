"""The worker: takes jobs from the queue, lets an executor run them, and brings their ends into the database."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from app.executors import Executor, Failed, TaskSpec, started_executor
from app.executors.running import report_unexpected
from app.jobs import JOB_KINDS, JobKind
from app.services.capacity import Capacity
from app.services.erasures import settle_receipts
from app.settings import Settings
from app.worker.devices import resolve_device
from app.worker.presence import ANNOUNCE_S, Presence
from app.worker.scratch import sweep_scratch
from app.worker.settling import Settlement
from app.worker.watching import Outcome, Patience, Watch
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import FenceLost, StorageError
from storage.orm import Job
from storage.sweep import sweep

_log = logging.getLogger(__name__)

IDLE_POLL_S = 0.5  # between attempts to claim, which write
GLANCE_S = 0.1  # between looks for queued jobs, which only read: somebody may wait for a head of seconds
TROUBLE_PAUSES_S = (1.0, 2.0, 5.0, 10.0, 30.0)  # after faults of the database or of this program, in a row
HOUSEKEEPING_S = 3_600.0
EMBEDDED_NICENESS = 10
"""Added to tasks of a worker that shares its machine with the API: predictions come first."""


NOT_STARTED = Failed(
    {
        "code": "process_not_started",
        "message": "The system refused a process to the job: it is out of memory, processes or open files.",
    },
    retry=True,
)


class WorkerResources(Protocol):
    """What a worker needs of `app.wiring.Container`."""

    @property
    def settings(self) -> Settings: ...
    @property
    def database(self) -> Database: ...
    @property
    def store(self) -> ArtifactStore: ...
    @property
    def capacity(self) -> Capacity: ...


class Worker:
    """Runs up to `num_slots` jobs at a time until told to stop.

    `kinds`: the job kinds to take; by default `settings.worker_kinds`, or all. `executor`: one to use instead of a new one of
    `settings.executor`; it is closed with the worker in any case. `job_kinds`: the registry to publish and abandon
    with; the executor has its own way to the same one, because its tasks may run in other processes.

    Example:
        >>> stop = threading.Event()
        >>> worker = Worker(container)  # doctest: +SKIP
        >>> threading.Thread(target=worker.run, args=(stop,)).start()  # doctest: +SKIP
        >>> stop.set()  # running jobs keep a checkpoint and go back to the queue
    """

    def __init__(
        self,
        container: WorkerResources,
        *,
        kinds: Collection[str] | None = None,
        num_slots: int = 1,
        name: str | None = None,
        niceness: int = 0,
        executor: Executor | None = None,
        patience: Patience | None = None,
        job_kinds: Mapping[str, JobKind] = JOB_KINDS,
    ) -> None:
        settings = container.settings
        taken = frozenset(kinds or settings.worker_kinds or job_kinds)
        unknown = sorted(taken - set(job_kinds))
        if unknown:
            raise ValueError(f"Unknown job kinds {', '.join(unknown)}; there are {', '.join(job_kinds)}.")
        self.name = name or f"worker-{secrets.token_hex(4)}"  # users see it: no host in it
        self.device = resolve_device(settings.worker_device)
        self._settings = settings
        self._database = container.database
        self._store = container.store
        self._capacity = container.capacity
        self._kinds = taken
        self._num_slots = num_slots
        self._niceness = niceness
        self._executor = executor or started_executor(settings.executor, num_threads=settings.worker_threads)
        self._patience = patience or Patience(lease_s=settings.lease_s, heartbeat_s=settings.heartbeat_s)
        self._settlement = Settlement(
            container.database, container.store, job_kinds, settings.scratch_dir, self._patience
        )
        self._presence = Presence(self.name, taken, self.device, num_slots, settings.job_memory_bytes)

    @property
    def kinds(self) -> frozenset[str]:
        """Of the jobs it takes."""
        return self._kinds

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then ask running jobs for a checkpoint, put them back, and return."""
        _log.info("%s is process %d and takes %s", self.name, os.getpid(), ", ".join(sorted(self._kinds)))
        self._guarded("warm-up", self._warm_up)
        self._guarded("announcement", self._announce)
        slots = [
            threading.Thread(target=self._work, args=(stop,), name=f"{self.name}-slot-{number}")
            for number in range(self._num_slots)
        ]
        for slot in slots:
            slot.start()
        try:
            self._stay(stop)
        finally:
            stop.set()
            for slot in slots:
                slot.join()
            self._executor.close()
            self._guarded("leave", self._leave)

    def _stay(self, stop: threading.Event) -> None:
        """Until `stop`: say now and then that the worker is there, and clear away what nobody needs."""
        house_kept_at = float("-inf")
        while True:
            if time.monotonic() - house_kept_at >= HOUSEKEEPING_S:
                self._guarded("housekeeping", self._keep_house)
                house_kept_at = time.monotonic()
            if stop.wait(ANNOUNCE_S):
                return
            self._guarded("announcement", self._announce)

    def _work(self, stop: threading.Event) -> None:
        num_faults = 0
        while not stop.is_set():
            if self._guarded("job", lambda: self._run_next(stop)):
                num_faults = 0
            else:  # the database may be away for a while: it is asked less and less often
                stop.wait(TROUBLE_PAUSES_S[min(num_faults, len(TROUBLE_PAUSES_S) - 1)])
                num_faults += 1

    def _run_next(self, stop: threading.Event) -> None:
        """Run one job, or wait a little for one."""
        self._settlement.expire(self._kinds)
        with self._database.writing() as uow:
            job = uow.jobs.claim(self.name, self._kinds, self._patience.lease_s)
        if job is None:
            self._await_job(stop)
        else:
            self._run(job, stop)

    def _await_job(self, stop: threading.Event) -> None:
        """Until a job is queued, `stop` is set, or it is time to look for jobs whose workers are gone."""
        until = time.monotonic() + IDLE_POLL_S
        while time.monotonic() < until and not stop.wait(GLANCE_S):
            with self._database.reading() as uow:
                if uow.jobs.has_queued(self._kinds):
                    return

    def _run(self, job: Job, stop: threading.Event) -> None:
        _log.info("job %s (%s): attempt %d", job.id, job.kind, job.attempt)
        shortage = self._capacity.shortage_here(job.estimate)
        if shortage is not None:  # there was room when it was queued, or another machine had it
            _log.warning("job %s: not started (%s)", job.id, shortage.code)
            self._settlement.settle(job, Outcome(Failed(shortage.as_json(), retry=False)))
            return
        try:
            execution = self._executor.start(self._spec(job))
        except OSError as error:  # no process, socket or memory to be had
            _log.error("job %s: not started (errno %s)", job.id, error.errno)
            self._settlement.settle(job, Outcome(NOT_STARTED))
            raise
        try:
            outcome = Watch(job, execution, self._database, self._patience, stop).until_end()
            execution.close()  # the task's process is gone before its scratch folder is
            status = self._settlement.settle(job, outcome)
        except FenceLost as error:
            _log.warning("job %s: lost to another worker (%s); nothing written", job.id, error.message)
        else:
            _log.info("job %s (%s): %s", job.id, job.kind, status)
        finally:
            execution.close()

    def _spec(self, job: Job) -> TaskSpec:
        return TaskSpec(
            job_id=job.id,
            workspace_id=job.workspace_id,
            kind=job.kind,
            payload=job.payload,
            attempt=job.attempt,
            fence=job.fence,
            scratch=self._scratch(job),
            database_url=self._settings.database_url,
            artifacts=self._settings.artifacts,
            num_threads=self._settings.worker_threads,
            niceness=self._niceness,
            device=self.device,
        )

    def _scratch(self, job: Job) -> Path:
        return self._settings.scratch_dir / job.id

    def _warm_up(self) -> None:
        self._executor.warm_up()

    def _announce(self) -> None:
        self._presence.announce(self._database)

    def _leave(self) -> None:
        self._presence.leave(self._database)

    def _keep_house(self) -> None:
        sweep_scratch(self._database, self._settings.scratch_dir)
        settle_receipts(self._database, self._store)
        sweep(self._database, self._store)

    def _guarded(self, what: str, step: Callable[[], None]) -> bool:
        """Run a step of a loop that must not end; whether it did not fail."""
        try:
            step()
            return True
        except StorageError as error:
            _log.warning("%s: %s: %s", self.name, what, error.message)
        # Broad on purpose: this is the worker's edge. The job's lease runs out and the job is claimed again.
        except Exception as error:
            report_unexpected(error, what)
        return False
