"""`rootstock health`: one answer for whoever watches a container; light, because it is asked every few seconds."""

from __future__ import annotations

import socket
from typing import Annotated

import typer

from app.commands.console import say
from app.commands.exit_codes import ExitCode
from app.commands.session import address_of, load_settings, session_of

TIMEOUT_S = 4.0


def health(
    ctx: typer.Context,
    worker: Annotated[
        bool, typer.Option("--worker", help="Instead: the worker started here with --by-host takes jobs.")
    ] = False,
) -> None:
    """Exits with 0 if the service of this machine answers (or its worker was there within the last minute)."""
    settings = load_settings()
    if worker:
        name = socket.gethostname()
        is_well, where = _is_working(settings.database_url, name), f"worker {name}"
    else:
        where = session_of(ctx).url or settings.url or address_of(settings)
        is_well = _answers(where)
    say(f"{where}: {'well' if is_well else 'NOT well'}")
    if not is_well:
        raise typer.Exit(ExitCode.FAILURE)


def _answers(url: str) -> bool:
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)
    try:
        # A name that is always answered: the one it is reached by may be known to a proxy only.
        connection.request("GET", "/livez", headers={"Host": "localhost"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_working(database_url: str, name: str) -> bool:
    from storage.engine import Database
    from storage.errors import StorageError

    try:
        database = Database.open(database_url, pool_size=1)
        try:
            with database.reading() as uow:
                return any(found.name == name for found in uow.workers.list())
        finally:
            database.dispose()
    except StorageError as error:
        say(f"error: {error}")
        return False
