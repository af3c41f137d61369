"""Jobs as the client sees them: a snapshot of their state, and their events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

JobStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True)
class Progress:
    """`step` of `total` (0 where the total is not known yet) and what is being done."""

    step: int = 0
    total: int = 0
    message: str = ""

    @property
    def fraction(self) -> float | None:
        return min(1.0, self.step / self.total) if self.total > 0 else None


@dataclass(frozen=True)
class ErrorOfJob:
    code: str
    message: str


@dataclass(frozen=True)
class Job:
    """One job at the time it was asked for; `Client.job` gives a newer one.

    `created` is what the request that queued it made (`{"table": …}`, `{"encoder": …}`, `{"heads": …}`);
    empty for jobs that were looked up. `raw` is the body as sent.
    """

    id: str
    kind: str
    status: JobStatus
    progress: Progress
    attempt: int = 0
    error: ErrorOfJob | None = None
    result: Mapping[str, Any] | None = None
    created: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def is_paused(self) -> bool:
        """It waits for somebody to resume or cancel it."""
        return self.status == "paused"

    @property
    def estimate(self) -> Mapping[str, Any] | None:
        """`seconds`, `memory_bytes`, `disk_bytes` and `basis`, said when the job was queued."""
        return self.raw.get("estimate")

    @property
    def waiting_for(self) -> str | None:
        """Why a queued job does not start, where no worker takes it."""
        return self.raw.get("waiting_for")

    @classmethod
    def from_json(cls, body: Mapping[str, Any], *, created: Mapping[str, Any] | None = None) -> Job:
        """Raises:
        KeyError, TypeError, ValueError, AttributeError: the body is no job.
        """
        error = body.get("error")
        return cls(
            id=str(body["id"]),
            kind=str(body["kind"]),
            status=body["status"],
            progress=progress_from_json(body.get("progress") or {}),
            attempt=int(body.get("attempt") or 0),
            error=ErrorOfJob(str(error["code"]), str(error["message"])) if error else None,
            result=body.get("result"),
            created=created or {},
            raw=body,
        )

    def with_progress(self, progress: Progress) -> Job:
        return replace(self, status="running", progress=progress)


def progress_from_json(body: Mapping[str, Any]) -> Progress:
    return Progress(int(body.get("step") or 0), int(body.get("total") or 0), str(body.get("message") or ""))


@dataclass(frozen=True)
class JobEvent:
    """One line of a job's log; `id` is what `Last-Event-ID` continues after."""

    id: str
    type: str
    data: Mapping[str, Any]
