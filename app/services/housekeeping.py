"""Remove what nobody needs any more: old idempotency records and jobs, uploads cut short, unreferenced artifacts."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from pathlib import Path

from app.services.erasures import settle_receipts
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.errors import StorageError
from storage.sweep import sweep

logger = logging.getLogger(__name__)

EVERY_S = 3600.0
STALE_UPLOAD_S = 86_400.0
"""Older than any upload takes: another process of this home may be receiving one now."""
JOB_BATCH = 200  # jobs forgotten in one transaction; each may have hundreds of events


class Housekeeper:
    """A daemon thread; every process of a service may run one, they do not get in each other's way."""

    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        *,
        uploads: Path,
        idempotency_ttl_s: float,
        job_retention_s: float,
    ) -> None:
        self._database = database
        self._store = store
        self._uploads = uploads
        self._idempotency_ttl_s = idempotency_ttl_s
        self._job_retention_s = job_retention_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def clean(self) -> None:
        """One round. Raises: StorageError."""
        with self._database.writing() as uow:
            uow.idempotency.purge(self._idempotency_ttl_s)
            uow.workers.forget()
        self._forget_jobs()
        self.remove_uploads(before=time.time() - STALE_UPLOAD_S)
        settle_receipts(self._database, self._store)
        report = sweep(self._database, self._store)
        if report.num_objects:
            logger.info("removed %d unreferenced artifacts, %d bytes", report.num_objects, report.num_bytes)

    def _forget_jobs(self) -> None:
        """Batch by batch: on SQLite a writer keeps all others waiting."""
        num_forgotten = 0
        while True:
            with self._database.writing() as uow:
                num_batch = uow.jobs.purge(self._job_retention_s, JOB_BATCH)
            num_forgotten += num_batch
            if num_batch < JOB_BATCH or self._stopping.is_set():
                break
        if num_forgotten:
            logger.info("forgot %d jobs that ended long ago", num_forgotten)

    def remove_uploads(self, *, before: float) -> None:
        """What was last written `before` (seconds since the epoch); now, where no other process receives uploads."""
        for path in self._uploads.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.clean()
            except (StorageError, OSError) as error:  # the next round may work
                logger.warning("housekeeping: %s", type(error).__name__)
            self._stopping.wait(EVERY_S)
