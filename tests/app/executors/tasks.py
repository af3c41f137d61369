"""Tasks of the test registry, and waiting for their ends with a deadline."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from app.executors import Advanced, Execution, FinalReport, ForkserverExecutor, TaskSpec
from storage.artifacts import LocalStoreConfig
from storage.ids import new_id

REGISTRY = "tests.app.executors.registry"
DEADLINE_S = 60.0
"""For a fork server on a busy machine: its imports alone may take ten seconds."""


@cache
def shared_forkserver() -> ForkserverExecutor:
    """One for the whole test process: its imports are what takes long. Closed by a test, it starts again."""
    executor = ForkserverExecutor(num_threads=2, registry=REGISTRY)
    atexit.register(executor.close)
    return executor


def task_spec(
    folder: Path, kind: str, *, niceness: int = 0, num_threads: int = 1, **payload: Any
) -> TaskSpec:
    job_id = new_id("job")
    return TaskSpec(
        job_id=job_id,
        workspace_id=new_id("ws"),
        kind=kind,
        payload=payload,
        attempt=1,
        fence=1,
        scratch=folder / "scratch" / job_id,
        database_url=f"sqlite:///{folder}/rootstock.db",
        artifacts=LocalStoreConfig(root=folder / "artifacts"),
        num_threads=num_threads,
        niceness=niceness,
    )


def final_report(execution: Execution) -> FinalReport:
    """The task's final report, after its progress."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        report = execution.receive(0.5)
        if report is not None and not isinstance(report, Advanced):
            return report
    raise AssertionError("no final report in time")


def first_progress(execution: Execution) -> Advanced:
    """The first progress of a task; a final report instead is a failure."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        report = execution.receive(0.5)
        if report is not None:
            assert isinstance(report, Advanced), report
            return report
    raise AssertionError("no progress in time")


def eventually_gone(pid: int, what: str = "the end of the process") -> None:
    eventually(lambda: not psutil.pid_exists(pid), what)


def eventually(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
