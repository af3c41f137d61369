"""What the worker and its executors say to each other.

An executor starts a task and returns an `Execution`. The worker then calls `receive` until it gets a final
report (`Succeeded`, `Failed` or `Stopped`); exactly one arrives, whatever becomes of the task: also when its
process is killed, runs out of memory, or never starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from storage.artifacts import ArtifactStoreConfig
from storage.artifacts.s3 import REVEAL_SECRETS
from storage.orm.base import JsonObject


class TaskSpec(BaseModel):
    """A task as JSON: everything a process needs to run one attempt of one job."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    workspace_id: str
    kind: str
    payload: JsonObject
    attempt: int
    fence: int
    scratch: Path
    database_url: str = Field(repr=False)
    artifacts: ArtifactStoreConfig
    num_threads: int = 1
    device: str = "cpu"  # where weights are trained: cpu, cuda or cuda:<number>
    niceness: int = 0  # added to the process's; ignored by executors that share the caller's process

    def to_wire(self) -> bytes:
        """JSON with the secrets of the store: only for a private pipe to a process of ours, never for a log."""
        return self.model_dump_json(context={REVEAL_SECRETS: True}).encode()


@dataclass(frozen=True)
class Advanced:
    """The task has come to `step` of `total` (0: unknown)."""

    step: int
    total: int
    message: str


@dataclass(frozen=True)
class Succeeded:
    """Final. `result` is what `JobKind.run` returned; `usage` what this attempt took (see `running.measure`)."""

    result: JsonObject
    usage: JsonObject | None = None


@dataclass(frozen=True)
class Failed:
    """Final. `error` has `code` and `message`, both safe to show; `retry` false means trying again is useless."""

    error: JsonObject
    retry: bool


@dataclass(frozen=True)
class Stopped:
    """Final. The task was asked to stop and did, keeping its last checkpoint."""


FinalReport = Succeeded | Failed | Stopped
Report = Advanced | FinalReport


class Execution(Protocol):
    """One running task; used by one thread."""

    def receive(self, timeout_s: float) -> Report | None:
        """The next report, or None when none came in time; after a final report, that report again."""
        ...

    def ask_to_stop(self) -> None:
        """Make the task's `should_stop` true; it answers with a final report when it gets there."""
        ...

    def kill(self) -> None:
        """End the task now; `receive` then gives a final report (that of the task if it was faster)."""
        ...

    def close(self) -> None:
        """Give everything back; kills the task if it still runs and waits until it is gone."""
        ...


class Executor(Protocol):
    """Starts tasks; used by all threads of a worker."""

    def warm_up(self) -> None:
        """Prepare so that the next `start` is fast; returns at once."""
        ...

    def start(self, spec: TaskSpec) -> Execution: ...

    def close(self) -> None:
        """Kill what still runs and release the executor's processes; idempotent."""
        ...
