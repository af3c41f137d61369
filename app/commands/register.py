"""`rootstock register`: upload a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands import reading_options as reading
from app.commands.column_words import overrides_from, split_from, split_names
from app.commands.console import say
from app.commands.following import Wait, report_started, wait_for
from app.commands.session import session_of
from rootstock_client import ServerFiles

_ROLES = "Roles"


def register(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A new name: a-z, 0-9, _ and -.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV, Parquet, Arrow or JSON lines, also compressed; several with the same columns.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Instead of files: a folder of the server, by its word.")
    ] = None,
    pattern: Annotated[str, typer.Option(help="Which files of --source, such as '2024-*.parquet'.")] = "*",
    key: Annotated[
        str, typer.Option(rich_help_panel=_ROLES, help="Column(s) that name a row, with commas.")
    ] = "",
    targets: Annotated[
        str,
        typer.Option(
            "--targets",
            "--target",
            rich_help_panel=_ROLES,
            help="Columns to predict: kept for fitting, never an input.",
        ),
    ] = "",
    drop: Annotated[str, typer.Option(rich_help_panel=_ROLES, help="Columns that are not even stored.")] = "",
    group: Annotated[
        str, typer.Option(rich_help_panel=_ROLES, help="Rows of one group stay on one side of the split.")
    ] = "",
    time: Annotated[str, typer.Option(rich_help_panel=_ROLES, help="The column that says when.")] = "",
    weight: Annotated[str, typer.Option(rich_help_panel=_ROLES, help="The column of row weights.")] = "",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND|ROLE", help="What is known of a column, such as zip=categorical."),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="How rows are kept apart for evaluation: auto, time, group, key or row."),
    ] = None,
    cutoff: Annotated[
        str | None, typer.Option(help="Of a split by time: rows at or after this date or number evaluate.")
    ] = None,
    evaluation_fraction: Annotated[
        float | None, typer.Option(min=0, max=0.5, help="Share of rows kept apart; default 0.1.")
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
    pretrain: Annotated[
        bool, typer.Option("--pretrain", help="Pretrain an encoder as soon as it is stored.")
    ] = False,
    wait: Wait = False,
) -> None:
    """Register a table from files, or from a folder of the server; its columns are profiled, typed and given roles."""
    if (source is None) == (not files):
        raise typer.BadParameter("name one or more files, or a folder of the server with --source")
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
        job = client.register(
            name,
            files if source is None and files else ServerFiles(source or "", pattern),
            columns=overrides_from(column or ()),
            key=split_names(key),
            targets=split_names(targets),
            drop=split_names(drop),
            group=split_names(group),
            time=split_names(time),
            weight=split_names(weight),
            split=split_from(split, cutoff),
            evaluation_fraction=evaluation_fraction,
            reading=said,
            pretrain=pretrain,
        )
        ended = report_started(session, client, job, f"register {name}", wait=wait)
        chained = (ended.result or {}).get("job") if ended is not None else None
        if wait and chained:
            wait_for(client, str(chained), f"pretrain {name}")
    if ended is not None and wait:
        result = ended.result or {}
        for warning in result.get("warnings") or ():
            say(f"warning: {warning}", style="yellow")
        say(f"{name}: {result.get('num_rows', 0):,} rows; look at them with `rootstock profile {name}`")
