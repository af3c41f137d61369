"""`rootstock serve`: the HTTP service of one home, with a worker beside it."""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import say
from app.commands.logs import log_to_stderr
from app.commands.running_service import HomeLock, locked_home
from app.commands.session import load_settings
from rootstock_client.errors import RootstockError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.executors import Executor
    from app.settings import Settings

GRACE_S = 10
"""How long requests in progress may take to end after SIGTERM; event streams end at once."""


class AddressInUse(RootstockError):
    default_code = "address_in_use"


class StartFailed(RootstockError):
    default_code = "start_failed"


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; default $ROOTSTOCK_HOST or 127.0.0.1.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; default $ROOTSTOCK_PORT or 8321; 0 takes a free one."),
    ] = None,
    worker: Annotated[
        bool | None, typer.Option("--worker/--no-worker", help="Run jobs here too; default yes.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning, error.")] = "info",
) -> None:
    """Start the service and its worker on $ROOTSTOCK_HOME; Ctrl-C or SIGTERM stops it cleanly."""
    given = {"host": host, "port": port, "embedded_worker": worker}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    with locked_home(settings.home) as lock, listening_socket(settings.host, settings.port) as listener:
        log_to_stderr(log_level)
        _serve(settings, lock, listener)


def _serve(settings: Settings, lock: HomeLock, listener: socket.socket) -> None:
    with prepared_executor(settings) if settings.embedded_worker else nullcontext() as executor:
        _serve_with(settings, lock, listener, executor)
    say("stopped")


@contextmanager
def prepared_executor(settings: Settings) -> Iterator[Executor]:
    """An executor whose processes import what jobs need while this process imports what it needs itself.

    The first job does not wait for imports then, and both take about as long as one alone on two cores.
    """
    from app.executors import started_executor

    try:
        executor = started_executor(settings.executor, num_threads=settings.worker_threads)
    except ValueError as error:
        raise StartFailed(str(error)) from None
    try:
        yield executor
    finally:
        executor.close()


def _serve_with(
    settings: Settings, lock: HomeLock, listener: socket.socket, executor: Executor | None
) -> None:
    # Here: torch and FastAPI take seconds, and a wrong address or a second `serve` should not.
    from app.main import create_app
    from app.wiring import build_container

    container = build_container(settings)
    try:
        # The home is locked, so what is there was left by a process that was killed.
        container.housekeeper.remove_uploads(before=time.time())
        url = url_of(settings.host, listener)

        def ready() -> None:
            lock.announce(url)
            _welcome(url, settings.home, settings.admin_key_file, container.first_key)

        _run(create_app(container, executor), listener, when_ready=ready, when_stopping=container.events.stop)
    finally:
        container.close()


def _run(
    app: FastAPI,
    listener: socket.socket,
    *,
    when_ready: Callable[[], None],
    when_stopping: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM; the application's own lifespan starts and stops its threads."""
    import uvicorn

    class AnnouncedServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                when_ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # uvicorn waits for open responses before the lifespan ends: event streams would use up all its grace.
            when_stopping()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    with _signals_end_it_once():
        try:
            AnnouncedServer(config).run(sockets=[listener])
        except SystemExit as stop:
            if stop.code:
                raise StartFailed("the service could not start; the lines above say why") from None


@contextmanager
def _signals_end_it_once() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more after its own cleanup: it must not cut ours short."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """A bound socket, so that a port in use is known before anything is opened.

    Raises:
        AddressInUse: another program listens there, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Asyncio turns Nagle's algorithm off only for sockets that say they are TCP; with it every answer that is
    # written in two pieces waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host.strip("[]"), port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "not an address"
            raise AddressInUse(
                f"cannot listen on {host}:{port} ({reason}): stop what listens there, or choose another with --port "
                "(0 takes a free one)"
            ) from None
        yield listener
    finally:
        listener.close()


def url_of(host: str, listener: socket.socket) -> str:
    """Where clients of this machine reach the service."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host).strip("[]")
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _welcome(url: str, home: Path, key_file: Path, first_key: str | None) -> None:
    say(f"Rootstock serves {url} on {home}; Ctrl-C stops it.", style="bold")
    if first_key is not None and sys.stderr.isatty():
        say(f"  first key  {first_key}  (shown only now)")
    if key_file.exists():  # not where the operator chose the key, or another process made it
        say(f"  admin key  {key_file}: the command line and Client() of this user find it by themselves")
    say(
        f"  routes     {url}/docs\n"
        "  next       rootstock register customers customers.csv --key id --wait, or rootstock demo"
    )
