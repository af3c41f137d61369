"""`rootstock pretrain` and `rootstock encoders`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from app.commands.console import say, show_fields, show_table
from app.commands.following import Wait, report_started
from app.commands.session import session_of
from app.commands.tables import TableName, Yes

Version = Annotated[int, typer.Argument(metavar="VERSION", min=1)]

encoders = typer.Typer(no_args_is_help=True, help="List and show encoder versions, choose the active one.")


def pretrain(
    ctx: typer.Context,
    table: TableName,
    max_seconds: Annotated[float | None, typer.Option(min=1, help="Of training; default 600.")] = None,
    architecture: Annotated[
        str | None, typer.Option(help="column_transformer (default) or tab_transformer.")
    ] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="masked_columns (default) or replaced_columns; repeat it for both."),
    ] = None,
    min_count: Annotated[
        int | None, typer.Option(min=1, help="Values seen in fewer rows are never stored; default 2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0)] = None,
    wait: Wait = False,
) -> None:
    """Train an encoder on the rows of a table, without labels."""
    session = session_of(ctx)
    with session.client() as client:
        job = client.pretrain(
            table,
            max_seconds=max_seconds,
            architecture={"kind": architecture} if architecture else None,
            objectives=[{"kind": kind} for kind in objective] if objective else None,
            codec=None if min_count is None else {"min_count": min_count},
            seed=seed,
        )
        version = job.created.get("encoder", {}).get("version")
        ended = report_started(session, client, job, f"pretrain {table}", wait=wait)
    if ended is not None and wait:
        say(f"{table}: encoder {version} is ready; see `rootstock encoders show {table} {version}`")


@encoders.command("list")
def list_encoders(ctx: typer.Context, table: TableName) -> None:
    """Encoder versions of a table."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.encoders(table)
    if not session.show(found):
        header = ["version", "status", "active", "architecture", "heads", "bytes", "stale", "created"]
        rows = [
            [e["version"], e["status"], e.get("active"), (e.get("architecture") or {}).get("kind"), pinned(e), e.get("bytes"),
             e.get("stale"), e.get("created_at")]
            for e in found
        ]  # fmt: skip
        show_table(header, rows)


def pinned(encoder: Mapping[str, Any]) -> str:
    """How many heads stand on an encoder, and what serves from it."""
    serving = ", ".join(
        f"{head['target']}@{alias}" for head in encoder.get("heads") or () for alias in head["aliases"]
    )
    return f"{encoder.get('num_heads', 0)}" + (f": {serving}" if serving else "")


@encoders.command("show")
def show_encoder(ctx: typer.Context, table: TableName, version: Version) -> None:
    """One encoder with its report: loss, and how well each column is predicted by the others."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.encoder(table, version)
    if session.show(found):
        return
    report = found.pop("report", None) or {}
    found["heads"] = pinned(found)
    show_fields({name: value for name, value in found.items() if value is not None})
    plain = {name: value for name, value in report.items() if isinstance(value, str | int | float)}
    show_fields(plain)
    per_column = report.get("columns")
    if isinstance(per_column, dict) and per_column:
        header = list(dict.fromkeys(name for entry in per_column.values() for name in entry))
        show_table(
            ["column", *header], [[name, *map(entry.get, header)] for name, entry in per_column.items()]
        )


@encoders.command("activate")
def activate(ctx: typer.Context, table: TableName, version: Version) -> None:
    """Fit new heads on this version; heads that exist keep theirs."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.activate(table, version)
    if not session.show(found):
        say(f"{table}: encoder {version} is active")


@encoders.command("delete")
def delete(ctx: typer.Context, table: TableName, version: Version, yes: Yes = False) -> None:
    """Delete an encoder version that is not active and that no head is pinned to."""
    if not yes:
        typer.confirm(f"Delete encoder {version} of {table}?", abort=True, err=True)
    with session_of(ctx).client() as client:
        client.delete_encoder(table, version)
    say(f"deleted encoder {version} of {table}")
