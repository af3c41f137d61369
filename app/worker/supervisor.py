"""The worker: takes jobs from the queue, lets an executor run them, and brings their ends into the database."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol

from app.executors import EXECUTORS, Executor, Failed, TaskSpec
from app.executors.running import report_unexpected
from app.jobs import JOB_KINDS, JobKind
from app.settings import Settings
from app.worker.scratch import sweep_scratch
from app.worker.settling import Settlement
from app.worker.watching import Outcome, Patience, Watch
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import FenceLost, StorageError
from storage.orm import Job
from storage.sweep import sweep

_log = logging.getLogger(__name__)

IDLE_POLL_S = 0.5
TROUBLE_PAUSE_S = 5.0  # after a fault of the database or of this program
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


class Worker:
    """Runs up to `num_slots` jobs at a time until told to stop.

    `kinds`: the job kinds to take; all by default. `executor`: one to use instead of a new one of
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
        unknown = sorted(set(kinds or ()) - set(job_kinds))
        if unknown:
            raise ValueError(f"Unknown job kinds {', '.join(unknown)}; there are {', '.join(job_kinds)}.")
        self.name = name or f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"
        self._settings = settings
        self._database = container.database
        self._store = container.store
        self._kinds = frozenset(job_kinds if kinds is None else kinds)
        self._num_slots = num_slots
        self._niceness = niceness
        if executor is None and settings.executor not in EXECUTORS:
            raise ValueError(f"Unknown executor {settings.executor!r}; there are {', '.join(EXECUTORS)}.")
        self._executor = executor or EXECUTORS[settings.executor](num_threads=settings.worker_threads)
        self._patience = patience or Patience(lease_s=settings.lease_s, heartbeat_s=settings.heartbeat_s)
        self._settlement = Settlement(
            container.database, container.store, job_kinds, settings.scratch_dir, self._patience
        )

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; then ask running jobs for a checkpoint, put them back, and return."""
        self._guarded("warm-up", self._warm_up)
        slots = [
            threading.Thread(target=self._work, args=(stop,), name=f"{self.name}-slot-{number}")
            for number in range(self._num_slots)
        ]
        for slot in slots:
            slot.start()
        try:
            while True:
                self._guarded("housekeeping", self._keep_house)
                if stop.wait(HOUSEKEEPING_S):
                    break
        finally:
            stop.set()
            for slot in slots:
                slot.join()
            self._executor.close()

    def _work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            pause_s = self._guarded("job", lambda: self._run_next(stop))
            stop.wait(TROUBLE_PAUSE_S if pause_s is None else pause_s)

    def _run_next(self, stop: threading.Event) -> float:
        """Run one job, if there is one; returns how long to wait before asking again."""
        self._settlement.expire(self._kinds)
        with self._database.writing() as uow:
            job = uow.jobs.claim(self.name, self._kinds, self._patience.lease_s)
        if job is None:
            return IDLE_POLL_S
        self._run(job, stop)
        return 0.0

    def _run(self, job: Job, stop: threading.Event) -> None:
        _log.info("job %s (%s): attempt %d", job.id, job.kind, job.attempt)
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
        )

    def _scratch(self, job: Job) -> Path:
        return self._settings.scratch_dir / job.id

    def _warm_up(self) -> float:
        self._executor.warm_up()
        return 0.0

    def _keep_house(self) -> float:
        sweep_scratch(self._database, self._settings.scratch_dir)
        sweep(self._database, self._store)
        return 0.0

    def _guarded(self, what: str, step: Callable[[], float]) -> float | None:
        """Run a step of a loop that must not end; None when it failed."""
        try:
            return step()
        except StorageError as error:
            _log.warning("%s: %s: %s", self.name, what, error.message)
        # Broad on purpose: this is the worker's edge. The job's lease runs out and the job is claimed again.
        except Exception as error:
            report_unexpected(error, what)
        return None
