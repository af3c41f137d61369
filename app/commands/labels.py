"""`rootstock label`: labels by key from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.console import say
from app.commands.session import session_of
from app.commands.tables import TableName
from app.commands.targets import TargetName

if TYPE_CHECKING:
    import polars as pl


def label(
    ctx: typer.Context,
    table: TableName,
    target: TargetName,
    file: Annotated[Path, typer.Argument(help="A CSV, TSV or Parquet file.", exists=True, dir_okay=False)],
    key_column: Annotated[str, typer.Option(help="Column of keys.")] = "key",
    value_column: Annotated[str, typer.Option(help="Column of labels.")] = "value",
    as_text: Annotated[bool, typer.Option("--text", help="Labels that look like numbers are texts.")] = False,
    withdraw_empty: Annotated[
        bool,
        typer.Option(
            "--withdraw-empty", help="Empty values withdraw the label of their key; default: left out."
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse when any key has no row.")] = False,
) -> None:
    """Send labels by key from a file; columns `at` and `weight` are sent where the file has them."""
    session = session_of(ctx)
    labels = _read_labels(file, key_column, value_column, as_text)
    num_empty = labels["value"].null_count()
    if not withdraw_empty:
        labels = labels.drop_nulls("value")
    with session.client() as client:
        total = client.label(table, target, labels, strict=strict)
    if session.show(total):
        return
    if num_empty and not withdraw_empty:
        say(f"{num_empty:,} rows without a value were left out (--withdraw-empty withdraws their labels)")
    for warning in total.get("warnings") or ():
        say(f"warning: {warning}", style="yellow")
    say(
        f"{target}: {total['accepted']:,} new, {total['replaced']:,} replaced, {total['withdrawn']:,} withdrawn, "
        f"{total['unmatched']:,} without a row; {total['num_labels']:,} labels in all. "
        f"Next: `rootstock finetune {table} {target}`"
    )


def _read_labels(file: Path, key_column: str, value_column: str, as_text: bool) -> pl.DataFrame:
    """`key`, `value` and, where the file has them, `at` and `weight`; keys of a CSV stay text (01234)."""
    from app.commands.row_files import read_rows, typed

    frame = read_rows(file)
    missing = [name for name in (key_column, value_column) if name not in frame.columns]
    if missing:
        raise typer.BadParameter(
            f"{file.name} has no column {', '.join(missing)}; it has {', '.join(frame.columns[:20])}"
        )
    chosen = {"key": frame[key_column], "value": frame[value_column]}
    if not as_text:
        chosen["value"] = typed(chosen["value"])
    chosen |= {name: typed(frame[name]) for name in ("at", "weight") if name in frame.columns}
    labels = type(frame)([series.alias(name) for name, series in chosen.items()])
    return labels.drop_nulls("key")
