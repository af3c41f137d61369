"""`rootstock openapi`: the HTTP interface as a file, and whether the committed one is current."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Annotated

import typer

from app.commands.console import say
from app.commands.exit_codes import ExitCode

_SHOWN_LINES = 40


def openapi(
    write: Annotated[Path | None, typer.Option(help="Write it to a file.", dir_okay=False)] = None,
    check: Annotated[
        Path | None, typer.Option(help="Compare it with a file; exits with 1 if they differ.", dir_okay=False)
    ] = None,
) -> None:
    """The description of all routes (OpenAPI, JSON): on stdout, into a file, or compared with one."""
    text = openapi_text()
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        write.write_text(text, encoding="utf-8")
        say(f"wrote {write}")
    if check is not None:
        committed = check.read_text(encoding="utf-8") if check.is_file() else ""
        if committed != text:
            lines = difflib.unified_diff(
                committed.splitlines(), text.splitlines(), str(check), "this version", lineterm="", n=1
            )
            say("\n".join(list(lines)[:_SHOWN_LINES]))
            say(
                f"error: {check} is not current: run `make openapi`, and commit it with a line in CHANGELOG.md",
                style="red",
            )
            raise typer.Exit(ExitCode.FAILURE)
        say(f"{check} is current")
    if write is None and check is None:
        typer.echo(text, nl=False)


def openapi_text() -> str:
    """The same bytes on every machine."""
    from app.main import openapi_document

    return json.dumps(openapi_document(), indent=1, ensure_ascii=False) + "\n"
