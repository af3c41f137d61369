"""Jobs: list, look at, follow, cancel, pause, resume; and workers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from app.dependencies import FineTuner, Parts, Reader
from app.errors import BadRequest
from app.routes.edge.event_stream import STREAM_TYPE, stream_events
from app.routes.edge.responses import json_response, problems
from app.routes.parameters import Cursor, JobId, Limit
from app.schemas.base import NAME_PATTERN
from app.schemas.jobs import EventList, JobBody, JobList, JobStatus, WorkerList

router = APIRouter(prefix="/jobs", tags=["jobs"])
workers_router = APIRouter(prefix="/workers", tags=["jobs"])

_MAX_SEQUENCE_DIGITS = 18


@router.get("", responses=problems(404))
def list_jobs(
    parts: Parts,
    caller: Reader,
    status: JobStatus | None = None,
    table: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    kind: Annotated[str | None, Query(pattern=r"^[a-z_]{1,20}$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobList:
    """Jobs of the workspace, newest first."""
    return parts.jobs.list(caller, status, table, kind, limit, cursor)


@router.get("/{job_id}", responses=problems(404))
def get_job(parts: Parts, caller: Reader, job_id: JobId) -> JobBody:
    """One job."""
    return parts.jobs.get(caller, job_id)


@router.post("/{job_id}/cancel", responses=problems(404))
def cancel_job(parts: Parts, caller: FineTuner, job_id: JobId) -> JobBody:
    """A waiting job ends at once, a running one at its next step; a finished one stays as it is."""
    return parts.jobs.cancel(caller, job_id)


@router.post("/{job_id}/pause", responses=problems(404))
def pause_job(parts: Parts, caller: FineTuner, job_id: JobId) -> JobBody:
    """A waiting job pauses at once, a running one when its worker has stopped it; a finished one stays as it is."""
    return parts.jobs.pause(caller, job_id)


@router.post("/{job_id}/resume", responses=problems(404))
def resume_job(parts: Parts, caller: FineTuner, job_id: JobId) -> JobBody:
    """A paused job waits for a worker again; pretraining goes on from its checkpoint, other kinds begin anew."""
    return parts.jobs.resume(caller, job_id)


@workers_router.get("", responses=problems())
def list_workers(parts: Parts, caller: Reader) -> WorkerList:
    """Workers that are there now."""
    return parts.jobs.workers()


@router.get(
    "/{job_id}/events",
    response_model=EventList,
    responses=problems(400, 404, 429)
    | {200: {"description": "Events", "content": {STREAM_TYPE: {"schema": {"type": "string"}}}}},
)
def get_job_events(
    request: Request,
    parts: Parts,
    caller: Reader,
    job_id: JobId,
    after: Annotated[int, Query(ge=0, le=2**53, description="Sequence to continue after.")] = 0,
    limit: Limit = 500,
    last_event_id: Annotated[str | None, Header(description="The same, for an event stream.")] = None,
) -> Response:
    """The job's log: JSON pages, or with `Accept: text/event-stream` a stream to the job's end."""
    if STREAM_TYPE not in request.headers.get("accept", ""):
        return json_response(parts.jobs.events(caller, job_id, after, limit).model_dump(mode="json"))
    if last_event_id:
        if (
            not last_event_id.isascii()
            or not last_event_id.isdigit()
            or len(last_event_id) > _MAX_SEQUENCE_DIGITS
        ):
            raise BadRequest(
                "Last-Event-ID is the id of an event of this stream, a number.", code="invalid_event_id"
            )
        after = int(last_event_id)
    parts.jobs.get(caller, job_id)  # answers 404 while there is still a status to answer with
    parts.events.check_room()
    return StreamingResponse(
        stream_events(parts, caller, job_id, after),
        media_type=STREAM_TYPE,
        headers={"X-Accel-Buffering": "no"},
    )
