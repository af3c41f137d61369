"""`rootstock worker`: a process that runs jobs, beside or instead of the one in `serve`."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.column_words import split_names
from app.commands.console import say
from app.commands.logs import log_to_stderr
from app.commands.serve import prepared_executor
from app.commands.session import load_settings

if TYPE_CHECKING:
    from app.executors import Executor
    from app.settings import Settings


def worker(
    kinds: Annotated[
        str, typer.Option(help="Kinds of jobs with commas: ingest, pretrain, finetune; default all.")
    ] = "",
    slots: Annotated[int | None, typer.Option(min=1, help="Jobs at a time; default 1.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of one job; default all cores but one.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where weights are trained: cpu, cuda, cuda:1, auto; default cpu.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name in the jobs' logs, for users to see; default a random one.")
    ] = None,
    by_host: Annotated[
        bool,
        typer.Option("--by-host", help="Name it after this machine, as `rootstock health --worker` expects."),
    ] = False,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = "info",
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; running ones keep a checkpoint and go back to the queue."""
    log_to_stderr(log_level)
    given = {
        "worker_slots": slots,
        "worker_threads": threads,
        "worker_device": device,
        "worker_kinds": ",".join(split_names(kinds)) or None,
    }
    settings = load_settings(**{field: value for field, value in given.items() if value is not None})
    with prepared_executor(settings) as executor:
        _work(settings, executor, name or (socket.gethostname() if by_host else None))
    say("stopped")


def _work(settings: Settings, executor: Executor, name: str | None) -> None:
    from app.wiring import build_container
    from app.worker import Worker

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    container = build_container(settings, with_serving=False)
    try:
        try:
            runner = Worker(container, num_slots=settings.worker_slots, name=name, executor=executor)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        say(
            f"worker {runner.name} takes {', '.join(sorted(runner.kinds))} jobs of {settings.home} on {runner.device}; "
            "Ctrl-C stops it"
        )
        runner.run(stop)
    finally:
        container.close()
