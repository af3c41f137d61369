"""JOB: the body of asynchronous work, wherever it appears."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.schemas.base import AnswerBody, Instant, JsonMapping
from storage.orm import Job, JobEvent

JobStatus = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
FINISHED_STATUSES = frozenset({"succeeded", "failed", "cancelled"})


class ProgressBody(AnswerBody):
    step: int
    total: int = Field(description="0 while unknown.")
    message: str


class JobErrorBody(AnswerBody):
    code: str
    message: str
    details: JsonMapping | None = None


class EstimateBody(AnswerBody):
    """What the job may take, said when it was queued; for planning, not a limit."""

    seconds: float
    memory_bytes: int
    disk_bytes: int = Field(description="Written while the job runs, at most.")
    basis: str = Field(description="What the figures rest on, and how far they may be off.")


class JobBody(AnswerBody):
    id: str
    kind: str
    status: JobStatus
    progress: ProgressBody
    attempt: int
    error: JobErrorBody | None
    result: JsonMapping | None
    cancel_requested: bool
    pause_requested: bool = Field(
        default=False, description="It becomes `paused` when its worker has stopped it."
    )
    estimate: EstimateBody | None = None
    waiting_for: str | None = Field(
        default=None, description="Why a queued job does not start, where no worker takes it."
    )
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None

    @classmethod
    def of(cls, job: Job, *, waiting_for: str | None = None, message: str | None = None) -> JobBody:
        """`message` stands for the progress message that is stored."""
        return cls.model_validate(
            {
                "id": job.id,
                "kind": job.kind,
                "status": job.status,
                "progress": {
                    "step": job.progress_step,
                    "total": job.progress_total,
                    "message": job.progress_message if message is None else message,
                },
                "attempt": job.attempt,
                "error": None if job.error is None else _job_error(job.error),
                "result": job.result,
                "cancel_requested": job.cancel_requested,
                "pause_requested": job.pause_requested,
                "estimate": job.estimate,
                "waiting_for": waiting_for,
                "created_at": job.created_at,
                "started_at": job.started_at,
                "finished_at": job.finished_at,
            }
        )


def _job_error(error: dict[str, Any]) -> JsonMapping:
    """`code` and `message` as they are, whatever else was stored under `details`."""
    extra = {key: value for key, value in error.items() if key not in ("code", "message", "details")}
    details = {**(error.get("details") or {}), **extra}
    return {
        "code": str(error.get("code", "job_failed")),
        "message": str(error.get("message", "The job failed.")),
        "details": details or None,
    }


class JobList(AnswerBody):
    jobs: list[JobBody]
    next_cursor: str | None


class EventBody(AnswerBody):
    """One entry of a job's log; `sequence` grows by one within the job and is the cursor."""

    sequence: int
    type: str
    at: Instant
    data: JsonMapping

    @classmethod
    def of(cls, event: JobEvent) -> EventBody:
        return cls.model_validate(event)


class EventList(AnswerBody):
    events: list[EventBody]
    next_cursor: int = Field(description="Pass as `after` to read on.")
    finished: bool = Field(description="No further events will come.")


class WorkerBody(AnswerBody):
    name: str
    kinds: list[str] = Field(description="Of the jobs it takes.")
    device: str = Field(description="Where it trains weights.")
    num_slots: int = Field(description="Jobs at a time.")
    memory_bytes: int = Field(description="What it allows one job.")
    started_at: Instant
    seen_at: Instant


class WorkerList(AnswerBody):
    workers: list[WorkerBody] = Field(description="Those that gave a sign of life within the last minute.")
    kinds_without_worker: list[str] = Field(description="Jobs of these kinds wait until a worker starts.")
