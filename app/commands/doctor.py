"""`rootstock doctor`: is this installation sound? Looks, and leaves nothing changed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from app.commands.checkup import (
    environment,
    home_folder,
    migrations_round_trip,
    stored_objects,
)
from app.commands.console import say, show_table
from app.commands.exit_codes import ExitCode
from app.commands.findings import Finding, Health
from app.commands.session import load_settings, session_of


def doctor(
    ctx: typer.Context,
    migrations: Annotated[
        bool,
        typer.Option(
            "--migrations", help="Instead: do models and migrations agree, up and down, on a new database?"
        ),
    ] = False,
) -> None:
    """Check environment, versions, database, artifacts, permissions and disk; exits with 1 if something is wrong."""
    session = session_of(ctx)
    with tempfile.TemporaryDirectory(prefix="rootstock-doctor-") as folder:
        found = list(migrations_round_trip(Path(folder)) if migrations else _everything())
    if not session.show([finding.as_json() for finding in found]):
        show_table(
            ["check", "", "found"], [[finding.name, finding.health.value, finding.text] for finding in found]
        )
    wrong = [finding for finding in found if finding.health is Health.WRONG]
    if wrong:
        say(f"error: {len(wrong)} of {len(found)} checks found something wrong", style="red")
        raise typer.Exit(ExitCode.FAILURE)


def _everything() -> Iterator[Finding]:
    yield from environment()
    settings = load_settings()
    parts: tuple[Callable[..., Iterator[Finding]], ...] = (home_folder, stored_objects)
    for part in parts:
        yield from part(settings)
