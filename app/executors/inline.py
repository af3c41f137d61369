"""Tasks in a thread of the caller's process: the twin of the fork server for tests and debugging.

Same contract, with the one difference that a thread cannot be killed: after `kill` the task's reports are
dropped and its `should_stop` is true, but it runs on until it looks.
"""

from __future__ import annotations

import importlib
import queue
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app.executors.contract import Advanced, Execution, Failed, FinalReport, Report, TaskSpec
from app.executors.wire import decode_report, encode_report

if TYPE_CHECKING:
    from app.jobs import JobKind

CLOSE_S = 30.0


class InlineExecutor:
    """Runs tasks in threads; `registry` is the module whose `JOB_KINDS` they run."""

    def __init__(self, *, num_threads: int = 1, registry: str = "app.jobs") -> None:
        self._num_threads = num_threads  # the process's own; a thread does not change it
        self._kinds: Mapping[str, JobKind] = importlib.import_module(registry).JOB_KINDS
        self._executions: list[InlineExecution] = []

    def warm_up(self) -> None:
        """Nothing to prepare."""

    def start(self, spec: TaskSpec) -> Execution:
        execution = InlineExecution(spec, self._kinds)
        self._executions.append(execution)
        return execution

    def close(self) -> None:
        while self._executions:
            self._executions.pop().close()


class InlineExecution:
    """One thread, seen from the worker."""

    def __init__(self, spec: TaskSpec, kinds: Mapping[str, JobKind]) -> None:
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._killed = threading.Event()
        self._final: FinalReport | None = None
        self._thread = threading.Thread(
            target=self._run, args=(spec, kinds), name=f"task-{spec.job_id}", daemon=True
        )
        self._thread.start()

    def receive(self, timeout_s: float) -> Report | None:
        if self._final is not None:
            return self._final
        try:
            report = self._reports.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if not isinstance(report, Advanced):
            self._final = report
        return report

    def ask_to_stop(self) -> None:
        self._stop.set()

    def kill(self) -> None:
        self._killed.set()
        self._stop.set()
        self._reports.put(
            Failed({"code": "killed", "message": "The worker ended the job's thread."}, retry=True)
        )

    def close(self) -> None:
        self.kill()
        self._thread.join(CLOSE_S)

    def _run(self, spec: TaskSpec, kinds: Mapping[str, JobKind]) -> None:
        # Here: it brings torch, and whoever uses the fork server wants that started before.
        from app.executors.running import run_task

        final = run_task(spec, kinds, self._emit, self._stop.is_set)
        self._emit(final)

    def _emit(self, report: Report) -> None:
        if not self._killed.is_set():
            self._reports.put(
                decode_report(encode_report(report))
            )  # what does not survive JSON fails here too
