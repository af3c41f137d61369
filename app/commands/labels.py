"""`rootstock label` sends labels by key from a file; `rootstock labels` looks at what was sent, and takes it back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import clean, say, show_fields, show_table
from app.commands.session import session_of
from app.commands.tables import TableName, Yes
from app.commands.targets import TargetName

if TYPE_CHECKING:
    import polars as pl

MAX_SHOWN_CHANGES = 100

SetVersion = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="Version of the labels.")]

labels = typer.Typer(no_args_is_help=True, help="Versions of a target's labels, and what to label next.")


def label(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A CSV, TSV or Parquet file.", exists=True, dir_okay=False),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="The same.", exists=True, dir_okay=False)] = None,
    key_column: Annotated[str, typer.Option(help="Column of keys.")] = "key",
    value_column: Annotated[str, typer.Option(help="Column of labels.")] = "value",
    at_column: Annotated[str, typer.Option(help="Column of times (ISO 8601 or UNIX seconds).")] = "at",
    weight_column: Annotated[str, typer.Option(help="Column of weights.")] = "weight",
    as_text: Annotated[bool, typer.Option("--text", help="Labels that look like numbers are texts.")] = False,
    withdraw_empty: Annotated[
        bool,
        typer.Option(
            "--withdraw-empty", help="Empty values withdraw the label of their key; default: left out."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse when any key has no row.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="These are all labels: withdraw every other one.")
    ] = False,
) -> None:
    """Send labels by key from a file; its columns `at` and `weight` are sent where it has them."""
    chosen = path or file
    if chosen is None or (path is not None and file is not None):
        raise typer.BadParameter("name one file of labels")
    session = session_of(ctx)
    names = {"key": key_column, "value": value_column, "at": at_column, "weight": weight_column}
    found = _read_labels(chosen, names, as_text)
    num_empty = found["value"].null_count()
    if not withdraw_empty:
        found = found.drop_nulls("value")
    with session.client() as client:
        total = client.label(table, target, found, strict=strict, replace=replace)
    if session.show(total):
        return
    if num_empty and not withdraw_empty:
        say(f"{num_empty:,} rows without a value were left out (--withdraw-empty withdraws their labels)")
    for warning in total.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")
    say(
        f"{target}: {total['accepted'] - total['replaced']:,} new, {total['replaced']:,} replaced, {total['withdrawn']:,} withdrawn, "
        f"{total['unmatched']:,} without a row; {total['num_labels']:,} labels in all. "
        f"Next: `rootstock finetune {table} {target}`"
    )


@labels.command("list")
def list_label_sets(ctx: typer.Context, table: TableName, target: TargetName) -> None:
    """Versions of the labels, newest first."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.label_sets(table, target)
    if not session.show(found):
        header = ["version", "by", "labels", "evaluation", "without a row", "heads", "created"]
        rows = [
            [
                one["version"],
                f"undo: as {one['restored_version']}" if one["restored_version"] else one["action"],
                one["num_labels"],
                one["counts"].get("evaluation"),
                one["counts"].get("unmatched"),
                one["heads"] or None,
                one["created_at"],
            ]
            for one in found
        ]
        show_table(header, rows)


@labels.command("show")
def show(ctx: typer.Context, table: TableName, target: TargetName, version: SetVersion) -> None:
    """One version with its counts and the heads that were fitted on it."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.label_set(table, target, version)
    if not session.show(found):
        show_fields({name: value for name, value in found.items() if value not in (None, [], {})})


@labels.command("compare")
def compare(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    version: SetVersion,
    with_version: Annotated[
        int | None, typer.Option("--with", min=1, help="Another version; default: the one before.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Changed labels to list.")] = MAX_SHOWN_CHANGES,
) -> None:
    """Labels that were added, withdrawn or changed from one version to another."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.compare_label_sets(table, target, version, with_version, limit=max(limit, 1))
    found["labels"] = found["labels"][:limit]
    if session.show(found):
        return
    num_changes = found["added"] + found["withdrawn"] + found["changed"]
    say(
        f"version {version} against {found['with_label_set']}: {found['added']:,} added, {found['withdrawn']:,} withdrawn, "
        f"{found['changed']:,} changed, {found['details_changed']:,} with another time or weight, "
        f"{found['unchanged']:,} as they were"
    )
    if found["labels"]:
        show_table(
            ["key", "before", "after"], [[one["key"], one["before"], one["after"]] for one in found["labels"]]
        )
    if num_changes > len(found["labels"]):
        say(f"{num_changes - len(found['labels']):,} more; --limit lists more of them")


@labels.command("restore")
def restore(ctx: typer.Context, table: TableName, target: TargetName, version: SetVersion) -> None:
    """Undo: make a new version with the labels of an old one."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.restore_labels(table, target, version)
    if not session.show(found):
        say(
            f"{target}: version {found['label_set']} has the labels of version {version}: {found['accepted']:,} set, "
            f"{found['withdrawn']:,} withdrawn; {found['num_labels']:,} labels in all"
        )


@labels.command("export")
def export(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    version: SetVersion,
    out: Annotated[Path, typer.Option(help="A .csv or .parquet file to write.", dir_okay=False)],
) -> None:
    """Write all labels of a version to a file: key, value, at, weight."""
    if out.suffix.lower() not in {".csv", ".parquet"}:
        raise typer.BadParameter(
            f"labels are written as .csv or .parquet, not {out.suffix or 'without suffix'}"
        )
    with session_of(ctx).client() as client:
        client.download_labels(table, target, version, out)
    say(f"wrote {out}")


@labels.command("delete")
def delete(
    ctx: typer.Context, table: TableName, target: TargetName, version: SetVersion, yes: Yes = False
) -> None:
    """Delete an old version; not the latest, nor one that a head was fitted on."""
    if not yes:
        typer.confirm(f"Delete version {version} of the labels of {target}?", abort=True, err=True)
    with session_of(ctx).client() as client:
        client.delete_label_set(table, target, version)
    say(f"deleted version {version} of the labels of {target}")


@labels.command("next")
def next_keys(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    count: Annotated[int, typer.Option(min=1, max=1_000, help="How many keys.")] = 50,
    strategy: Annotated[str, typer.Option(help="random, uncertain or diverse.")] = "random",
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Keys of rows to label next, one a line, best first."""
    session = session_of(ctx)
    with session.client() as client:
        keys = client.keys_to_label(table, target, count, strategy=strategy, seed=seed)
    if not session.show(keys):
        for key in keys:
            typer.echo(clean(key))


def _read_labels(file: Path, names: dict[str, str], as_text: bool) -> pl.DataFrame:
    """`key`, `value` and, where the file has them, `at` and `weight`; keys of a CSV stay text (01234)."""
    from app.commands.row_files import read_rows, typed

    frame = read_rows(file)
    needed = [name for role, name in names.items() if role in ("key", "value") or name != role]
    missing = [name for name in needed if name not in frame.columns]
    if missing:
        raise typer.BadParameter(
            f"{file.name} has no column {', '.join(missing)}; it has {', '.join(frame.columns[:20])}"
        )
    chosen = {"key": frame[names["key"]], "value": frame[names["value"]]}
    if not as_text:
        chosen["value"] = typed(chosen["value"])
    optional = {role: names[role] for role in ("at", "weight") if names[role] in frame.columns}
    chosen |= {role: typed(frame[name]) for role, name in optional.items()}
    found = type(frame)([series.alias(name) for name, series in chosen.items()])
    return found.drop_nulls("key")
