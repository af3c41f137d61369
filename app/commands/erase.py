"""`rootstock erase`: take rows out of everything, and show the receipts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.console import say, show_fields, show_table
from app.commands.following import wait_for
from app.commands.session import session_of
from app.commands.tables import TableName, Yes

erasures = typer.Typer(no_args_is_help=True, help="List and show receipts of erased rows.")


def erase(
    ctx: typer.Context,
    table: TableName,
    keys: Annotated[list[str] | None, typer.Argument(metavar="[KEY]...", help="Keys of rows.")] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="One key per line, `-` for standard input: keys stay out of the shell's history."),
    ] = None,
    yes: Yes = False,
) -> None:
    """Erase rows by key from all snapshots, labels, encoders' samples and heads' judged rows. There is no way back."""
    wanted = [*(keys or ()), *_keys_of(file)]
    if not wanted:
        raise typer.BadParameter("name keys, or a --file of them")
    if not yes:
        typer.confirm(f"Erase {len(wanted)} rows of {table} from every version?", abort=True, err=True)
    session = session_of(ctx)
    with session.client() as client:
        job = client.erase(table, wanted)
        wait_for(client, job, f"erase rows of {table}")
        receipt = client.erasure(table, job)
    shown = {**receipt, "salt": (job.created or {}).get("salt")}
    if session.show(shown):
        return
    _show(shown)


@erasures.command("list")
def list_erasures(ctx: typer.Context, table: TableName) -> None:
    """Receipts of a table, newest first."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.erasures(table)
    if session.show(found):
        return
    names = ("erasure", "status", "keys_requested", "keys_found", "published_at")
    show_table(names, [[one[name] for name in names] for one in found])


@erasures.command("show")
def show_erasure(
    ctx: typer.Context, table: TableName, erasure: Annotated[str, typer.Argument(help="Its id.")]
) -> None:
    """One receipt."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.erasure(table, erasure)
    if session.show(found):
        return
    _show(found)


def _keys_of(file: Path | None) -> list[str]:
    if file is None:
        return []
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def _show(receipt: Mapping[str, Any]) -> None:
    places, trained = receipt["places"], receipt["trained_with"]
    fields = {name: receipt[name] for name in ("erasure", "status", "keys_requested", "keys_found")}
    show_fields(
        {
            **fields,
            "rows of snapshots": sum(one["rows"] for one in places["snapshots"]),
            "labels": sum(one["labels"] for one in places["label_sets"]),
            "judged rows": sum(one["rows"] for one in places["judged"]),
            "objects removed": places["objects_removed"],
            "salt": receipt.get("salt") or "(was given when the erasure was asked for)",
        }
    )
    heads = [f"{head['target']}:{head['version']}" for head in trained["heads"]]
    if trained["encoders"] or heads:
        encoders = ", ".join(map(str, trained["encoders"])) or "none"
        say(
            f"trained with these rows: encoders {encoders}; heads {', '.join(heads) or 'none'}. {trained['remedy']}",
            style="yellow",
        )
