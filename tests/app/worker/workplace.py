"""A database, a store and workers on them, with the job kinds of `tests.app.executors.registry`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.executors import Execution, Executor, InlineExecutor, TaskSpec
from app.settings import Settings
from app.wiring import Container, build_container
from app.worker import Patience, Worker
from app.worker.settling import ENDED, Settlement
from storage.engine import Database
from storage.orm import Job, JobEvent
from tests.app.executors.registry import JOB_KINDS
from tests.app.executors.tasks import REGISTRY, eventually

QUICK = Patience(lease_s=5.0, heartbeat_s=0.1, progress_s=0.1, grace_s=5.0)


class Kept:
    """An executor shared by several workers: they do not close it."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def warm_up(self) -> None:
        self._executor.warm_up()

    def start(self, spec: TaskSpec) -> Execution:
        return self._executor.start(spec)

    def close(self) -> None:
        """Whoever made the executor closes it."""


class Workplace:
    def __init__(self, home: Path, **changes: Any) -> None:
        settings = Settings(home=home, worker_threads=1, **changes)
        self.container: Container = build_container(settings, with_serving=False)
        self.settings = settings
        self.database = self.container.database
        self.store = self.container.store
        with self.database.writing() as uow:
            self.workspace_id = uow.workspaces.get_or_create("default").id

    def queue(self, kind: str, *, max_attempts: int = 3, **payload: Any) -> str:
        with self.database.writing() as uow:
            return uow.jobs.add(self.workspace_id, kind, payload, None, None, max_attempts).id

    def job(self, job_id: str) -> Job:
        with self.database.reading() as uow:
            return uow.jobs.get(self.workspace_id, job_id)

    def events(self, job_id: str) -> list[JobEvent]:
        with self.database.reading() as uow:
            return uow.jobs.events(job_id)

    def event_types(self, job_id: str) -> list[str]:
        return [event.type for event in self.events(job_id) if event.type != "progress"]

    def cancel(self, job_id: str) -> None:
        with self.database.writing() as uow:
            uow.jobs.request_cancel(self.workspace_id, job_id)

    def pause(self, job_id: str) -> None:
        with self.database.writing() as uow:
            uow.jobs.request_pause(self.workspace_id, job_id, "paused before it was started")

    def resume(self, job_id: str) -> None:
        with self.database.writing() as uow:
            uow.jobs.request_resume(self.workspace_id, job_id)

    def ended(self, job_id: str) -> Job:
        eventually(lambda: self.job(job_id).status in ENDED, f"the end of {job_id}")
        return self.job(job_id)

    def begun(self, job_id: str) -> Job:
        eventually(lambda: self.job(job_id).progress_message, f"progress of {job_id}")
        return self.job(job_id)

    def scratch(self, job_id: str) -> Path:
        return self.settings.scratch_dir / job_id

    def objects(self) -> list[str]:
        return [found.digest for found in self.store.list(self.workspace_id)]

    def settlement(
        self, *, database: Database | None = None, wait: Callable[[float], object] = time.sleep
    ) -> Settlement:
        return Settlement(
            database or self.database, self.store, JOB_KINDS, self.settings.scratch_dir, QUICK, wait
        )

    @contextmanager
    def worker(
        self, *, executor: Executor | None = None, patience: Patience = QUICK, num_slots: int = 1
    ) -> Iterator[threading.Event]:
        """A worker in a thread; the event stops it, as does the end of the block."""
        worker = Worker(
            self.container,
            num_slots=num_slots,
            executor=executor or InlineExecutor(registry=REGISTRY),
            patience=patience,
            job_kinds=JOB_KINDS,
        )
        with self.running(worker) as stop:
            yield stop

    @contextmanager
    def running(self, worker: Worker) -> Iterator[threading.Event]:
        """`worker` in a thread, for the length of the block."""
        stop = threading.Event()
        thread = threading.Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            yield stop
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive()
