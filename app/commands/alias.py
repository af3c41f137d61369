"""`rootstock alias`: movable names of head versions."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.console import say, show_table
from app.commands.encoders import Version
from app.commands.session import session_of
from app.commands.tables import TableName, Yes
from app.commands.targets import TargetName

AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="Name of an alias.")]

alias = typer.Typer(no_args_is_help=True, help="Move aliases, roll them back, see their history.")


@alias.command("list")
def list_aliases(ctx: typer.Context, table: TableName, target: TargetName) -> None:
    """Aliases of a target and the versions they point at."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.aliases(table, target)
    if not session.show(found):
        rows = [[a["name"], a["version"], a["revision"], a.get("updated_at")] for a in found]
        show_table(["alias", "version", "revision", "moved"], rows)


@alias.command("set")
def set_alias(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    alias: AliasName,
    version: Version,
    if_revision: Annotated[
        int | None, typer.Option(min=0, help="Only if it is still at this revision.")
    ] = None,
) -> None:
    """Point an alias at a ready head version."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.set_alias(table, target, alias, version, if_revision=if_revision)
    if not session.show(found):
        say(f"{target}@{alias} is version {version} (revision {found['revision']})")


@alias.command("rollback")
def rollback(ctx: typer.Context, table: TableName, target: TargetName, alias: AliasName = "champion") -> None:
    """Point an alias back at the version before its last move."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.rollback(table, target, alias)
    if not session.show(found):
        say(f"{target}@{alias} is version {found['version']} again (revision {found['revision']})")


@alias.command("rollback-job")
def rollback_job(
    ctx: typer.Context, table: TableName, job: Annotated[str, typer.Argument(metavar="JOB")]
) -> None:
    """Take back every alias move that a refit or fine-tune made, all at once."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.rollback_job(table, job)
    if session.show(found):
        return
    for entry in found["rolled_back"]:
        now = "removed" if entry["version"] is None else f"version {entry['version']} again"
        say(f"{entry['target']}@{entry['alias']} is {now}")
    for entry in found["left_alone"]:
        say(f"{entry['target']}@{entry['alias']} is left alone: {entry['reason']}")


@alias.command("delete")
def delete_alias(
    ctx: typer.Context, table: TableName, target: TargetName, alias: AliasName, yes: Yes = False
) -> None:
    """Remove an alias; without champion a target is served by version only."""
    if not yes:
        typer.confirm(f"Remove the alias {alias} of {target}?", abort=True, err=True)
    session = session_of(ctx)
    with session.client() as client:
        found = client.delete_alias(table, target, alias)
    if not session.show(found):
        say(f"{target}@{alias} is removed (it was version {found['previous_version']})")


@alias.command("history")
def history(ctx: typer.Context, table: TableName, target: TargetName, alias: AliasName = "champion") -> None:
    """Every move of an alias."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.history(table, target, alias)
    if not session.show(found):
        names = ("revision", "action", "version", "previous_version", "actor", "at")
        header = ["revision", "action", "to", "from", "by", "at"]
        show_table(header, [[move.get(name) for name in names] for move in found])
