"""`rootstock refit`: the champions of a table, fitted anew on another encoder."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.commands.column_words import split_names
from app.commands.console import say, show_table
from app.commands.exit_codes import ExitCode
from app.commands.following import Wait, report_started
from app.commands.session import session_of
from app.commands.tables import TableName


class Labels(StrEnum):
    LATEST = "latest"
    SAME = "same"


def refit(
    ctx: typer.Context,
    table: TableName,
    targets: Annotated[str, typer.Argument(help="Targets with commas, or * for all with a champion.")] = "*",
    encoder: Annotated[
        int | None, typer.Option(min=1, help="Encoder version; default the active one.")
    ] = None,
    labels: Annotated[
        Labels, typer.Option(help="The latest label sets, or those of the champions.")
    ] = Labels.LATEST,
    max_seconds: Annotated[
        float | None, typer.Option(min=1, help="For all heads; default 60 for each.")
    ] = None,
    promote: Annotated[bool, typer.Option(help="Let champion move to new heads that pass the gate.")] = True,
    wait: Wait = False,
) -> None:
    """Fit all champions anew on an encoder, in one job; shows the paired difference of every target."""
    session = session_of(ctx)
    chosen = "*" if targets == "*" else split_names(targets)
    with session.client() as client:
        job = client.refit(
            table, chosen, encoder=encoder, labels=labels.value, max_seconds=max_seconds, promote=promote
        )
        for name, reason in (job.created.get("skipped") or {}).items():
            say(f"skipped {name}: {reason}")
        ended = report_started(session, client, job, f"refit {table}", wait=wait)
    if ended is None or not wait:
        return
    result = ended.result or {}
    show_refit(result)
    if result.get("moved"):
        say(f"take it back with `rootstock alias rollback-job {table} {ended.id}`")
    if any(row.get("status") == "failed" for row in result.get("summary") or ()):
        raise typer.Exit(ExitCode.JOB_FAILED)


def show_refit(result: Mapping[str, Any]) -> None:
    """The summary of a refit's result, a line per target."""
    header = ["target", "champion", "new", "difference (new minus champion)", "on", "champion moved"]
    rows = [
        [row["target"], row.get("champion"), row.get("version"), row.get("sentence"), row.get("on"),
         "yes" if row.get("moved") else "no"]
        for row in result.get("summary") or ()
    ]  # fmt: skip
    show_table(header, rows)
    for row in result.get("summary") or ():
        reason = row.get("reason")
        if not row.get("moved") and reason and reason != row.get("sentence"):
            say(f"{row['target']}: champion stays. {reason}")
