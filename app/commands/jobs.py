"""`rootstock jobs`: work that goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import cell_text, json_line, say, show_fields, show_table
from app.commands.following import wait_for
from app.commands.session import Session, session_of
from rootstock_client import Job

if TYPE_CHECKING:
    from rootstock_client import Client

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job.")]

jobs = typer.Typer(no_args_is_help=True, help="List, follow, cancel, pause and resume jobs.")


@jobs.command("list")
def list_jobs(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(help="queued, running, paused, succeeded, failed, cancelled.")
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only of this table.")] = None,
    kind: Annotated[str | None, typer.Option(help="ingest, pretrain, finetune.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 20,
) -> None:
    """Jobs, newest first."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.jobs(status=status, table=table, kind=kind, limit=limit)
    if not session.show([job.raw for job in found]):
        rows = [[job.id, job.kind, job.status, *_progress(job), job.raw.get("created_at")] for job in found]
        show_table(["job", "kind", "status", "done", "message", "created"], rows)


def _progress(job: Job) -> tuple[str, str]:
    """How far, and what is going on or went wrong."""
    if job.error is not None:
        return "", job.error.message
    if job.is_finished:
        return "", ""
    if job.waiting_for is not None:
        return "", job.waiting_for
    fraction = job.progress.fraction
    return "" if fraction is None else f"{fraction:.0%}", job.progress.message


@jobs.command("show")
def show_job(ctx: typer.Context, job: JobId) -> None:
    """One job as it stands."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.job(job)
    if not session.show(found.raw):
        show_fields({name: value for name, value in found.raw.items() if value is not None})


@jobs.command("wait")
def wait_job(ctx: typer.Context, job: JobId) -> None:
    """Wait for a job's end, with a progress bar; exits with 5 if it failed or was cancelled."""
    session = session_of(ctx)
    with session.client() as client:
        ended = wait_for(client, job, job)
    if not session.show(ended.raw):
        say(f"{ended.kind} job {ended.id} succeeded")


@jobs.command("events")
def show_events(ctx: typer.Context, job: JobId) -> None:
    """A job's log as it is written, to its end; with --json one object a line."""
    session = session_of(ctx)
    with session.client() as client:
        for event in client.events(job):
            typer.echo(_event_line(event.id, event.type, dict(event.data), as_json=session.as_json))


def _event_line(number: str, kind: str, data: dict[str, object], *, as_json: bool) -> str:
    if as_json:
        return json_line({"id": number, "type": kind, "data": data})
    return f"{number:>6}  {cell_text(kind):<12} {cell_text(data)}"


@jobs.command("cancel")
def cancel(ctx: typer.Context, job: JobId) -> None:
    """Ask a job to stop."""
    session = session_of(ctx)
    with session.client() as client:
        if _has_ended(session, client, job):
            return
        found = client.cancel(job)
    if not session.show(found.raw):
        say(f"{found.kind} job {found.id}: {found.status if found.is_finished else 'asked to stop'}")


@jobs.command("pause")
def pause(ctx: typer.Context, job: JobId) -> None:
    """Pause a job; pretraining goes on from its checkpoint when it is resumed, other jobs begin anew."""
    session = session_of(ctx)
    with session.client() as client:
        if _has_ended(session, client, job):
            return
        found = client.pause(job)
    if session.show(found.raw):
        return
    what = (
        found.status if found.is_finished or found.is_paused else found.progress.message or "asked to pause"
    )
    say(f"{found.kind} job {found.id}: {what}")


@jobs.command("resume")
def resume(ctx: typer.Context, job: JobId) -> None:
    """Let a paused job go on."""
    session = session_of(ctx)
    with session.client() as client:
        if _has_ended(session, client, job):
            return
        found = client.resume(job)
    if not session.show(found.raw):
        say(f"{found.kind} job {found.id}: {found.waiting_for or found.status}")


def _has_ended(session: Session, client: Client, job: str) -> bool:
    """Whether there is nothing left to cancel, pause or resume; says so."""
    found = client.job(job)
    if found.is_finished and not session.show(found.raw):
        say(f"{found.kind} job {found.id}: it has ended already ({found.status}); nothing to do")
    return found.is_finished


@jobs.command("workers")
def workers(ctx: typer.Context) -> None:
    """Workers that are there now, and kinds of jobs that none takes."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.workers()
    if session.show(found):
        return
    rows = [
        [worker["name"], ", ".join(worker["kinds"]), worker["device"], worker["num_slots"], worker["seen_at"]]
        for worker in found["workers"]
    ]
    show_table(["worker", "takes", "device", "slots", "seen"], rows)
    if found["kinds_without_worker"]:
        say(f"no worker takes {', '.join(found['kinds_without_worker'])} jobs")
