"""`rootstock snapshots`: new rows for a table, what changed with them, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from app.commands import reading_options as reading
from app.commands.column_words import overrides_from, split_from
from app.commands.console import say, show_fields, show_table
from app.commands.following import Wait, report_started, wait_for
from app.commands.session import session_of
from app.commands.tables import TableName, Yes
from rootstock_client import JobFailed, ServerFiles

Version = Annotated[int, typer.Argument(min=1, help="Version of a snapshot.")]

MODES = ("replace", "append", "upsert")
CONFLICTS = ("refuse", "keep", "update")

snapshots = typer.Typer(
    no_args_is_help=True, help="Add rows to a table; list, show, restore and delete its snapshots."
)


@snapshots.command("add")
def add(
    ctx: typer.Context,
    table: TableName,
    mode: Annotated[str, typer.Option(help="replace all rows, append new ones, or upsert by key.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="As for register; several with the same columns.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Instead of files: a folder of the server, by its word.")
    ] = None,
    pattern: Annotated[str, typer.Option(help="Which files of --source, such as '2024-*.parquet'.")] = "*",
    on_conflict: Annotated[
        str | None,
        typer.Option(
            help="Of rows whose key is there: refuse (default of append), keep, update (of upsert)."
        ),
    ] = None,
    accept_drift: Annotated[
        bool, typer.Option("--accept-drift", help="Take rows that differ severely from the table.")
    ] = False,
    parent: Annotated[
        int | None, typer.Option(min=1, help="Only if this snapshot version is still current.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND|ROLE", help="Of a new column, or drop one: note=drop."),
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(help="Another cutoff of a split by time, for the new rows.")
    ] = None,
    format: reading.Format = None,
    delimiter: reading.Delimiter = None,
    encoding: reading.Encoding = None,
    decimal: reading.Decimal = None,
    quote: reading.Quote = None,
    null_values: reading.NullValues = None,
    text_column: reading.TextColumn = None,
    no_header: reading.NoHeader = False,
    skip_lines: reading.SkipLines = None,
    skip_ragged_rows: reading.SkipRaggedRows = False,
    skip_odd_rows: reading.SkipOddRows = False,
    pretrain: Annotated[bool, typer.Option("--pretrain", help="Pretrain an encoder on the result.")] = False,
    wait: Wait = False,
) -> None:
    """Upload rows for a table; they become its next snapshot."""
    if (source is None) == (not files):
        raise typer.BadParameter("name one or more files, or a folder of the server with --source")
    if mode not in MODES:
        raise typer.BadParameter(f"--mode is one of {', '.join(MODES)}; received {mode!r}")
    if on_conflict is not None and on_conflict not in CONFLICTS:
        raise typer.BadParameter(f"--on-conflict is one of {', '.join(CONFLICTS)}; received {on_conflict!r}")
    said = reading.reading_from(
        format=format,
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
        quote=quote,
        null_values=null_values,
        text_columns=text_column,
        no_header=no_header,
        skip_lines=skip_lines,
        skip_ragged_rows=skip_ragged_rows,
        skip_odd_rows=skip_odd_rows,
    )
    session = session_of(ctx)
    with session.client() as client:
        job = client.add_snapshot(
            table,
            files if source is None and files else ServerFiles(source or "", pattern),
            mode=cast(Any, mode),
            on_conflict=cast(Any, on_conflict),
            accept_drift=accept_drift,
            parent=parent,
            columns=overrides_from(column or ()),
            split=split_from(None, cutoff),
            reading=said,
            pretrain=pretrain,
        )
        try:
            ended = report_started(session, client, job, f"{mode} {table}", wait=wait)
        except JobFailed as failed:
            if not session.as_json:
                _show_findings(_findings_of(failed))
            raise
        result = (ended.result or {}) if ended is not None else {}
        if wait and result.get("job"):
            wait_for(client, str(result["job"]), f"pretrain {table}")
    if ended is not None and wait:
        _report(table, result)


@snapshots.command("list")
def list_snapshots(ctx: typer.Context, table: TableName) -> None:
    """Versions of the table's rows, newest first."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.snapshots(table)
    if session.show(found):
        return
    header = ["version", "current", "mode", "from", "rows", "changes", "drift", "created"]
    names = ("version", "is_current", "mode", "parent", "num_rows")
    rows = [
        [*(one[name] for name in names), _changes(one["changes"]), one["drift"], one["created_at"]]
        for one in found
    ]
    show_table(header, rows)


@snapshots.command("show")
def show_one(ctx: typer.Context, table: TableName, version: Version) -> None:
    """What changed with one version, and how its rows differ from those before."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.snapshot(table, version)
    if session.show(found):
        return
    shown = {name: found[name] for name in ("version", "mode", "parent", "num_rows", "drift", "created_at")}
    show_fields({**shown, "changes": _changes(found["changes"])})
    _show_findings((found["drift_report"] or {}).get("findings") or [])


@snapshots.command("restore")
def restore(ctx: typer.Context, table: TableName, version: Version) -> None:
    """Make the rows of an earlier version current again, as a new version."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.restore_snapshot(table, version)
    if session.show(found):
        return
    say(f"{table}: snapshot {found['version']} holds the {found['num_rows']:,} rows of snapshot {version}")
    for warning in found["warnings"]:
        say(f"warning: {warning}", style="yellow")


@snapshots.command("delete")
def delete(ctx: typer.Context, table: TableName, version: Version, yes: Yes = False) -> None:
    """Delete an old version that no encoder, label set or job stands on."""
    if not yes:
        typer.confirm(f"Delete snapshot {version} of {table}?", abort=True, err=True)
    session = session_of(ctx)
    with session.client() as client:
        found = client.delete_snapshot(table, version)
    if session.show(found):
        return
    say(
        f"deleted snapshot {version} of {table} ({found['rows']:,} rows, {found['artifacts']} stored objects)"
    )


def _report(table: str, result: Mapping[str, Any]) -> None:
    for warning in result.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")
    _show_findings((result.get("drift") or {}).get("findings") or [])
    for stale in result.get("stale") or ():
        say(
            f"encoder {stale['encoder']} is stale: {stale['reason']}; `rootstock pretrain {table}` makes a new one"
        )
    rows, changes = result.get("num_rows", 0), _changes(result.get("changes"))
    say(f"{table}: snapshot {result.get('snapshot')} has {rows:,} rows ({changes})")


def _findings_of(failed: JobFailed) -> list[dict[str, Any]]:
    """All that a refusal for drift found, of which its message names the first."""
    error = failed.job.raw.get("error") or {}
    details = error.get("details") or {}
    return list((details.get("drift") or error.get("drift") or {}).get("findings") or ())


def _changes(changes: dict[str, int] | None) -> str:
    words = [f"{count:,} {name}" for name, count in (changes or {}).items() if count]
    return ", ".join(words)


def _show_findings(findings: list[dict[str, Any]]) -> None:
    if findings:
        show_table(["severity", "finding"], [[one["severity"], one["sentence"]] for one in findings])
