"""Stay with one running task until it has ended, for whatever reason."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Literal

from app.executors import Advanced, Execution, Failed, FinalReport, Stopped
from app.worker.stall import StallClock
from storage.engine import Database
from storage.errors import FenceLost, StorageError
from storage.orm import Job

_log = logging.getLogger(__name__)

_RECEIVE_S = 0.25
"""How long a wait for the next report lasts at most, and so how late a shutdown is seen."""


@dataclass(frozen=True)
class Patience:
    """How long a worker waits for what, in seconds."""

    lease_s: float = 30.0
    heartbeat_s: float = 5.0
    progress_s: float = 1.0  # between two heartbeats that only bring progress
    grace_s: float = 8.0  # from asking a task to stop to killing it; `docker stop` waits 10
    stall_floor_s: float = 1_800.0
    stall_factor: float = 100.0


StopReason = Literal["cancel", "pause", "shutdown", "outdated"]


@dataclass(frozen=True)
class Outcome:
    """How a task ended, why it was asked to stop (if it was), and how far it had come."""

    report: FinalReport
    stopped_for: StopReason | None = None
    progress: Advanced | None = None


class Watch:
    """One task under way: heartbeats, progress, cancel, pause, shutdown, stall."""

    def __init__(
        self,
        job: Job,
        execution: Execution,
        database: Database,
        patience: Patience,
        shutdown: threading.Event,
    ) -> None:
        self._job = job
        self._execution = execution
        self._database = database
        self._patience = patience
        self._shutdown = shutdown
        self._progress: Advanced | None = None
        self._is_progress_written = True
        self._beaten_at = time.monotonic()  # the claim was the first heartbeat
        self._stopping: StopReason | None = None
        self._kill_at = float("inf")
        self._stall = StallClock(patience.stall_floor_s, patience.stall_factor, time.monotonic())

    def until_end(self) -> Outcome:
        """Wait for the task's end, or bring it about.

        Raises:
            FenceLost: the job is somebody else's by now; the caller kills the task and writes nothing.
        """
        while True:
            report = self._execution.receive(_RECEIVE_S)
            now = time.monotonic()
            if isinstance(report, Advanced):
                self._progress, self._is_progress_written = report, False
                self._stall.observe(now, report.step, report.total, report.message)
            elif report is not None:
                return self._ended(report)
            if self._shutdown.is_set() and self._stopping is None:
                self._stop("shutdown", now)
            if self._is_heartbeat_due(now):
                self._heartbeat(now)
            if now > self._kill_at:
                _log.warning(
                    "job %s did not stop within %.0f s; killed", self._job.id, self._patience.grace_s
                )
                self._execution.kill()
                return self._ended(Stopped())
            if self._stall.is_stalled(now):
                return self._stalled()

    def _is_heartbeat_due(self, now: float) -> bool:
        interval = self._patience.heartbeat_s
        if not self._is_progress_written:
            interval = min(interval, self._patience.progress_s)
        return now - self._beaten_at >= interval

    def _heartbeat(self, now: float) -> None:
        self._beaten_at = now
        job = self._job
        step, total, message = job.progress_step, job.progress_total, job.progress_message
        if self._progress is not None:
            step, total, message = self._progress.step, self._progress.total, self._progress.message
        try:
            with self._database.writing() as uow:
                answer = uow.jobs.heartbeat(job.id, job.fence, self._patience.lease_s, step, total, message)
        except FenceLost:
            raise
        except StorageError as error:
            # The database may come back before the lease runs out; if not, the fence protects what follows.
            _log.warning("job %s: heartbeat not written (%s)", job.id, error.code)
            return
        self._is_progress_written = True
        if answer.cancel_requested and self._stopping != "cancel":
            self._stop("cancel", now)
        elif answer.pause_requested and self._stopping is None:
            self._stop("pause", now)

    def _stop(self, reason: StopReason, now: float) -> None:
        if self._stopping is None:
            self._kill_at = now + self._patience.grace_s
            self._execution.ask_to_stop()
        self._stopping = reason

    def _stalled(self) -> Outcome:
        self._execution.kill()
        seconds = round(self._stall.limit_s)
        _log.error("job %s made no step for %d s; killed", self._job.id, seconds)
        message = (
            f"The job made no progress for {seconds} s, far longer than for any step before, and was ended."
        )
        return self._ended(Failed({"code": "stalled", "message": message}, retry=True))

    def _ended(self, report: FinalReport) -> Outcome:
        if isinstance(report, Stopped) and self._stopping is None:
            message = "The job stopped without having been asked to."
            report = Failed({"code": "stopped_unasked", "message": message}, retry=True)
        return Outcome(report, self._stopping, self._progress)
