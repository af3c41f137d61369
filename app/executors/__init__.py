"""Where tasks run. A new executor is one file and one line here."""

from __future__ import annotations

from typing import Protocol

from app.executors.contract import (
    Advanced,
    Execution,
    Executor,
    Failed,
    FinalReport,
    Report,
    Stopped,
    Succeeded,
    TaskSpec,
)
from app.executors.forkserver import ForkserverExecutor
from app.executors.inline import InlineExecutor


class ExecutorFactory(Protocol):
    def __call__(self, *, num_threads: int = ..., registry: str = ...) -> Executor: ...


EXECUTORS: dict[str, ExecutorFactory] = {
    "forkserver": ForkserverExecutor,
    "inline": InlineExecutor,
}


def started_executor(name: str, *, num_threads: int) -> Executor:
    """An executor of that name that prepares itself already, while the caller goes on importing.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in EXECUTORS:
        raise ValueError(f"Unknown executor {name!r}; there are {', '.join(EXECUTORS)}.")
    executor = EXECUTORS[name](num_threads=num_threads)
    executor.warm_up()
    return executor


__all__ = [
    "EXECUTORS",
    "Advanced",
    "Execution",
    "Executor",
    "ExecutorFactory",
    "Failed",
    "FinalReport",
    "ForkserverExecutor",
    "InlineExecutor",
    "Report",
    "Stopped",
    "Succeeded",
    "TaskSpec",
    "started_executor",
]
