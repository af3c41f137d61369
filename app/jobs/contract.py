"""What a job kind is: how one kind of work runs in a child, and how its end reaches the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from models.progress import Progress, ShouldStop
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.orm import Job
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

AbandonedStatus = Literal["failed", "cancelled"]


class ResultOutdated(Exception):  # not of an error tree: the worker queues the job again
    """What a result was computed from has changed meanwhile; another attempt starts from what is there now.

    Whoever raises it saw somebody else's result published, so that jobs that meet each other all end.
    """


@dataclass(frozen=True)
class Task:
    """One attempt of a job, as its child process sees it.

    `database` is for reading only: whatever a child may change, it changes by what it returns. `scratch` belongs
    to the job and survives retries; `workdir` belongs to this attempt. `progress` and `should_stop` may be called
    as often as convenient.
    """

    job_id: str
    workspace_id: str
    payload: JsonObject
    attempt: int
    fence: int
    database: Database
    store: ArtifactStore
    scratch: Path
    num_threads: int
    progress: Progress
    should_stop: ShouldStop
    device: str = "cpu"  # auto, cpu, cuda or cuda:<number>

    @property
    def workdir(self) -> Path:
        """An empty folder when first asked for; another attempt (perhaps of a worker that lost its lease and does
        not know yet) has another one, because each claim of the job has its own fence."""
        folder = self.scratch / f"claim-{self.fence}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder


class JobKind(Protocol):
    """One kind of job. `run` is called in the child; `publish` and `abandon` in the worker.

    Exactly one of `publish` and `abandon` takes effect per job, in the transaction that ends the job. Both must
    cope with a table that was deleted meanwhile.
    """

    kind: str
    resumes_from_checkpoint: bool
    """Whether another attempt goes on where the last one stopped (its work folder being there), or begins anew."""

    def run(self, task: Task) -> JsonObject:
        """Compute, store artifacts through `task.store`, and return what `publish` needs, as JSON.

        Raises:
            InputError: the request or the data is at fault; the job fails at once.
            Interrupted: `should_stop` became true; a later attempt goes on from the last checkpoint.
        """
        ...

    def publish(self, uow: UnitOfWork, job: Job, result: JsonObject) -> JsonObject:
        """Make the result visible; returns `job.result`.

        Raises:
            NotFound, Conflict: what the result belongs to is gone or taken; the job fails at once.
            ResultOutdated: what it was computed from has changed; the job runs again.
        """
        ...

    def abandon(self, uow: UnitOfWork, job: Job, status: AbandonedStatus, error: JsonObject | None) -> None:
        """Mark what the job was making as `status`, or remove it so that its name is free again."""
        ...
