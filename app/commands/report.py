"""`rootstock report`: a table, or one head of a target, as an HTML page to keep."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import say
from app.commands.session import session_of
from app.commands.tables import TableName
from rootstock_client.errors import RootstockError


class FileNotWritten(RootstockError):
    default_code = "file_not_written"


def report(
    ctx: typer.Context,
    table: TableName,
    target: Annotated[str | None, typer.Option(help="A target: the report is of one of its heads.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Head version; default the one that champion points at.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Default TABLE.html, or TABLE-TARGET-head-VERSION.html.", dir_okay=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write an HTML page, which needs nothing but itself, on a table or on one head of a target."""
    if version is not None and target is None:
        raise typer.BadParameter("--version is of a target's head; give --target too")
    session = session_of(ctx)
    with session.client() as client:
        if target is not None and version is None:
            version = client.target(table, target).get("champion")
            if version is None:
                raise typer.BadParameter(f"{target} has no champion; give --version")
        name = f"{table}.html" if target is None else f"{table}-{target}-head-{version}.html"
        path = Path(name) if out is None else out
        if path.exists() and not force:
            raise _taken(path)
        write_file(path, client.report(table, target, version), replace=force)
    if not session.show({"file": str(path), "table": table, "target": target, "version": version}):
        say(f"wrote {path}")


def write_file(path: Path, content: bytes, *, replace: bool) -> None:
    """All of it or nothing; a file that is there stays unless `replace`.

    Raises:
        FileNotWritten: it is there, or cannot be written.
    """
    scratch = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part") if replace else path
    is_ours = False
    try:
        with scratch.open("xb") as file:
            is_ours = True
            file.write(content)
        if replace:
            scratch.replace(path)
        is_ours = False
    except FileExistsError as error:
        raise _taken(path) from error
    except OSError as error:
        raise FileNotWritten(f"{path} cannot be written: {error.strerror or type(error).__name__}") from error
    finally:
        if is_ours:
            scratch.unlink(missing_ok=True)


def _taken(path: Path) -> FileNotWritten:
    return FileNotWritten(f"{path} is there already; give --force to replace it, or another --out")
