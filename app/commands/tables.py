"""`rootstock tables`, `profile`, `columns`: what is registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from app.commands.column_words import overrides_from
from app.commands.console import cell_text, say, show_fields, show_table
from app.commands.session import Session, session_of

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="Name of a table.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

tables = typer.Typer(no_args_is_help=True, help="List, show and delete tables.")


@tables.command("list")
def list_tables(ctx: typer.Context) -> None:
    """All tables of the workspace."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.tables()
    if not session.show(found):
        show_table(
            ["table", "status", "rows", "created"],
            [_row(t, "name", "status", "num_rows", "created_at") for t in found],
        )


@tables.command("show")
def show_one(ctx: typer.Context, table: TableName) -> None:
    """One table: rows, columns, active encoder, targets."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.table(table)
    if session.show(found):
        return
    shown = {
        name: found.get(name)
        for name in ("name", "status", "num_rows", "active_encoder", "targets", "created_at")
    }
    show_fields(shown)
    _show_columns(found.get("columns") or ())


@tables.command("delete")
def delete_table(ctx: typer.Context, table: TableName, yes: Yes = False) -> None:
    """Delete a table with its snapshots, encoders, targets and heads. There is no way back."""
    if not yes:
        typer.confirm(f"Delete {table} with everything made from it?", abort=True, err=True)
    with session_of(ctx).client() as client:
        client.delete_table(table)
    say(f"deleted {table}")


def columns(
    ctx: typer.Context,
    table: TableName,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=KIND|ROLE]...",
            help="Such as zip=categorical churned=target; with --accept names of columns.",
        ),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Accept what the profile proposes, for the named columns or all.")
    ] = False,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Show what the profile proposes, and change nothing.")
    ] = False,
) -> None:
    """Show kind and role of every column, or change some; says which encoders and heads no longer fit."""
    session = session_of(ctx)
    overrides = {} if accept else overrides_from(changes or ())
    if sum((bool(overrides), accept, proposals)) > 1:
        raise typer.BadParameter("give changes, --accept or --proposals, one of them")
    with session.client() as client:
        if proposals:
            _show_proposals(session, client.proposals(table))
            return
        if accept:
            found = client.accept_proposals(table, changes or "*")
            overrides = {one["column"]: {} for one in found["accepted"]}
        elif overrides:
            found = client.set_columns(table, overrides)
        else:
            found = {"columns": client.table(table)["columns"]}
    if session.show(found):
        return
    is_changed = accept or bool(overrides)
    if accept and not found["accepted"]:
        say("No proposals that can be accepted now" if found["skipped"] else "No proposals")
    else:
        _show_columns(
            [column for column in found["columns"] if not is_changed or column["name"] in overrides]
        )
    for skipped in found.get("skipped") or ():
        say(f"{skipped['column']} was not changed: {skipped['fixed']}")
    for warning in found.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")
    for stale in found.get("stale") or ():
        say(
            f"encoder {stale['encoder']} is stale: {stale['reason']}; `rootstock pretrain {table}` makes a new one"
        )
    for stale in found.get("stale_heads") or ():
        versions = ", ".join(map(str, stale["heads"]))
        say(f"{stale['target']}: versions {versions} are stale: {stale['reason']}")


def profile(
    ctx: typer.Context,
    table: TableName,
    snapshot: Annotated[
        int | None, typer.Option(min=1, help="Version of a snapshot; default the current one.")
    ] = None,
) -> None:
    """What is in the columns: counts, nulls, distinct values, warnings."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.profile(table, snapshot=snapshot)
    if session.show(found):
        return
    shown = found["columns"].items()
    rows = [
        [name, *_row(c, "kind", "role", "nulls", "distinct"), _values(c), c.get("warnings")]
        for name, c in shown
    ]
    title = f"{found['table']}: {found['num_rows']:,} rows, {len(rows)} columns"
    show_table(["column", "kind", "role", "nulls", "distinct", "values", "warnings"], rows, title=title)
    for warning in found.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")


def _values(column: Mapping[str, Any]) -> str:
    """The most frequent values of a column of classes, or the range of a column of numbers."""
    quantiles = column.get("quantiles")
    if isinstance(quantiles, Mapping) and quantiles:
        return " … ".join(
            cell_text(value) for value in (*quantiles.values(),)[:: max(1, (len(quantiles) - 1) // 2)]
        )
    top = column.get("top_values") or ()
    return " · ".join(
        cell_text(entry.get("value") if isinstance(entry, Mapping) else entry) for entry in top[:4]
    )


def _show_proposals(session: Session, found: list[dict[str, Any]]) -> None:
    if session.show(found):
        return
    if not found:
        say("No proposals")
        return
    header = ["column", "kind", "role", "why", "acceptable now"]
    show_table(
        header,
        [
            [*_row(one, "column", "kind", "role", "reason"), f"no: {one['fixed']}" if one["fixed"] else "yes"]
            for one in found
        ],
    )


def _show_columns(found: Iterable[Mapping[str, Any]]) -> None:
    header = ["column", "kind", "role", "type", "why"]
    show_table(header, [_row(c, "name", "kind", "role", "storage_type", "evidence") for c in found])


def _row(entry: Mapping[str, Any], *names: str) -> list[Any]:
    return [entry.get(name) for name in names]
