"""Wait for a job with a progress bar on stderr, or say how to."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from app.commands.console import clean, messages, say
from app.commands.exit_codes import ExitCode
from app.commands.session import Session
from rootstock_client import Job

if TYPE_CHECKING:
    from rootstock_client import Client

Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job has ended, with a progress bar.")]

_LINE_EVERY_S = 5.0


class JobProgress:
    """Shows a job as it changes: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._is_terminal = sys.stderr.isatty()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False, style="dim"),
            console=messages(),
            transient=True,
            disable=not self._is_terminal,
        )
        self._task: TaskID | None = None
        self._last_line = ""
        self._next_line_at = 0.0

    def __enter__(self) -> JobProgress:
        self._bar.start()
        self._task = self._bar.add_task(self._title, total=None, note="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, job: Job) -> None:
        assert self._task is not None
        progress = job.progress
        note = clean(job.waiting_for or progress.message or job.status)
        if job.is_paused:
            note = clean(f"paused; go on with `rootstock jobs resume {job.id}`")
        total = progress.total or None
        self._bar.update(self._task, completed=progress.step, total=total, note=note)
        if self._is_terminal or job.is_finished:
            return
        fraction = progress.fraction
        line = f"{self._title}: {note}" + ("" if fraction is None else f" ({fraction:.0%})")
        if line != self._last_line and time.monotonic() >= self._next_line_at:
            say(line)
            self._last_line, self._next_line_at = line, time.monotonic() + _LINE_EVERY_S


def wait_for(client: Client, job: Job | str, title: str) -> Job:
    """Wait with a progress bar; Ctrl-C stops the waiting, not the job.

    Raises:
        JobFailed, JobCancelled.
    """
    name = job.id if isinstance(job, Job) else job
    try:
        with JobProgress(title) as progress:
            return client.wait(job, on_progress=progress.show)
    except KeyboardInterrupt:
        say(
            f"stopped waiting; the job goes on: `rootstock jobs wait {name}`, or `rootstock jobs cancel {name}`"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def report_started(session: Session, client: Client, job: Job, title: str, *, wait: bool) -> Job | None:
    """Show the job that was queued, or with `wait` its end; None where `--json` has said everything."""
    if wait:
        job = wait_for(client, job, title)
        return None if session.show(job.raw) else job
    if session.show({**job.created, "job": job.raw}):
        return None
    say(f"{title}: queued as {job.id}; follow it with `rootstock jobs wait {job.id}`")
    return job
