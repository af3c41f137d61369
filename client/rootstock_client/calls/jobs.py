"""Follow jobs, wait for them, cancel, pause and resume them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from rootstock_client.calls.base import Calls, job_from
from rootstock_client.errors import (
    ApiError,
    JobCancelled,
    JobFailed,
    JobTimeout,
    ServiceUnreachableError,
    UnexpectedResponseError,
)
from rootstock_client.event_stream import read_events
from rootstock_client.jobs import FINISHED, Job, JobEvent, progress_from_json
from rootstock_client.transport import JsonObject, json_object

OnProgress = Callable[[Job], None]

QUIET_S: Final = 30.0
"""Without a line for so long a stream counts as dropped (the service sends comments more often)."""
FIRST_POLL_S: Final = 0.1
LAST_POLL_S: Final = 2.0


class JobCalls(Calls):
    def jobs(
        self,
        *,
        status: str | None = None,
        table: str | None = None,
        kind: str | None = None,
        limit: int | None = 100,
    ) -> list[Job]:
        """Jobs of the workspace, newest first."""
        filters = {"status": status, "table": table, "kind": kind}
        found = self._list("jobs", items="jobs", filters=filters, limit=limit)
        return [job_from(job) for job in found]

    def job(self, job: Job | str) -> Job:
        return job_from(self._get("jobs", _id(job)))

    def cancel(self, job: Job | str) -> Job:
        """Ask a job to stop: at once where it is queued, at its next step where it runs."""
        return self._ask(job, "cancel")

    def pause(self, job: Job | str) -> Job:
        """Ask a job to pause: at once where it is queued; where it runs, when its worker has stopped it.

        Pretraining goes on from its checkpoint after `resume`; other jobs begin anew.
        """
        return self._ask(job, "pause")

    def resume(self, job: Job | str) -> Job:
        """Let a paused job wait for a worker again."""
        return self._ask(job, "resume")

    def workers(self) -> JsonObject:
        """Workers that are there now, and `kinds_without_worker`: jobs of these wait until one starts."""
        return self._get("workers")

    def _ask(self, job: Job | str, what: str) -> Job:
        return job_from(json_object(self._transport.call("POST", "jobs", _id(job), what, is_repeatable=True)))

    def events(self, job: Job | str, *, after: str | None = None) -> Iterator[JobEvent]:
        """The job's log as it is written, to its end; one connection, no reconnects.

        Args:
            after: id of an event to continue after; by default from the first.

        Raises:
            ServiceUnreachableError: the stream broke; call again with the id of the last event.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        with self._transport.stream(
            "jobs", _id(job), "events", headers=headers, read_timeout_s=QUIET_S
        ) as lines:
            for event in read_events(lines):
                yield event
                if event.type in FINISHED:
                    return

    def wait(
        self,
        job: Job | str,
        *,
        on_progress: OnProgress | None = None,
        timeout_s: float | None = None,
        until_paused: bool = False,
    ) -> Job:
        """Wait until the job has ended; it goes on whether somebody waits or not.

        Follows the event stream; where that is not to be had (a proxy that buffers, too many streams) it
        asks in growing intervals instead.

        Args:
            on_progress: called with a newer state of the job whenever something has changed; also when it is paused
                (`Job.is_paused`), where waiting goes on until somebody resumes or cancels it.
            until_paused: return a paused job instead.

        Raises:
            JobFailed: with the code and message of the job's error. JobCancelled.
            JobTimeout: not ended after `timeout_s`.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        report = on_progress or (lambda _: None)
        current = self.job(job)
        report(current)
        last_event: str | None = None
        poll_s = FIRST_POLL_S
        while not current.is_finished:
            if until_paused and current.is_paused:
                return current
            before = last_event
            # Streams are a convenience: the state itself is asked for below, and its errors count.
            with suppress(ServiceUnreachableError, UnexpectedResponseError, ApiError):
                for event in self.events(current, after=last_event):
                    last_event = event.id or last_event
                    if event.type in FINISHED:
                        break
                    if event.type == "progress":
                        current = current.with_progress(progress_from_json(event.data))
                    else:
                        current = self.job(current)
                    report(current)
                    if current.is_paused and until_paused:
                        break
                    if deadline is not None and time.monotonic() >= deadline:
                        break
            poll_s = FIRST_POLL_S if last_event != before else min(poll_s * 1.6, LAST_POLL_S)
            newer = self.job(current)
            if newer != current:
                report(newer)
            current = newer
            if not (current.is_finished or (until_paused and current.is_paused)):
                self._sleep(current, poll_s, deadline)
        return succeeded(current)

    def _sleep(self, job: Job, poll_s: float, deadline: float | None) -> None:
        left_s = poll_s if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            raise JobTimeout(
                f"{job.kind} job {job.id} is still {job.status}; it goes on without anybody waiting", job=job
            )
        time.sleep(min(poll_s, left_s))


def succeeded(job: Job) -> Job:
    """The job itself where it succeeded.

    Raises:
        JobFailed, JobCancelled: where it did not.
    """
    if job.status == "failed":
        error = job.error
        message = error.message if error else "the job failed without saying why"
        raise JobFailed(
            f"{job.kind} job {job.id} failed: {message}", job=job, code=error.code if error else None
        )
    if job.status == "cancelled":
        raise JobCancelled(f"{job.kind} job {job.id} was cancelled", job=job)
    return job


def _id(job: Job | str) -> str:
    return job.id if isinstance(job, Job) else job
