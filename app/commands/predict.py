"""`rootstock predict`: one or many targets for rows of the table or of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.column_words import split_names
from app.commands.console import cell_text, say, show_table
from app.commands.exit_codes import ExitCode
from app.commands.session import session_of
from app.commands.tables import TableName

if TYPE_CHECKING:
    import polars as pl

_SHOWN_ROWS = 50
OUT_SUFFIXES = (".csv", ".parquet", ".json")


def predict(
    ctx: typer.Context,
    table: TableName,
    targets: Annotated[
        str,
        typer.Argument(
            help="With commas: churn (its champion), churn@alias, churn:3 (a version); * for all."
        ),
    ] = "*",
    keys: Annotated[str, typer.Option(help="Keys of rows of the table, with commas.")] = "",
    keys_file: Annotated[
        Path | None, typer.Option(help="A file with one key a line.", exists=True, dir_okay=False)
    ] = None,
    rows: Annotated[
        Path | None,
        typer.Option(help="Rows in a CSV, TSV, Parquet or JSON file.", exists=True, dir_okay=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to a .csv, .parquet or .json file.", dir_okay=False)
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.99,
            help="Of the intervals of numbers (default 0.9), and of sets of classes, shown if given.",
        ),
    ] = None,
    all_classes: Annotated[
        bool, typer.Option("--all-classes", help="A probability for every class.")
    ] = False,
    ignore_extra: Annotated[
        bool, typer.Option("--ignore-extra", help="Accept columns the table does not have.")
    ] = False,
) -> None:
    """Predict one target, several or all, from one encoder pass."""
    if out is not None and out.suffix.lower() not in OUT_SUFFIXES:
        raise typer.BadParameter(f"--out ends in one of {', '.join(OUT_SUFFIXES)}")
    session = session_of(ctx)
    asked_about = _rows_or_keys(keys, keys_file, rows)
    with session.client() as client:
        predictions = client.predict(
            table,
            "*" if targets == "*" else split_names(targets),
            **asked_about,
            coverage=coverage,
            extra="ignore" if ignore_extra else None,
        )
    for name, reason in predictions.skipped.items():
        say(f"skipped {name}: {reason}")
    for column, count in predictions.unseen.items():
        say(f"note: {count:,} rows have a value of {column} that the encoder has not seen")
    if not predictions.predictions:
        session.show(predictions.to_json())
        say(
            f"nothing was predicted: no target of {table} has a head to answer. Fit one (`rootstock finetune {table}`), "
            f"move champion to one (`rootstock alias set {table} TARGET champion VERSION`), or name a version (TARGET:1)"
        )
        raise typer.Exit(ExitCode.REFUSED)
    frame = predictions.frame(all_classes=all_classes)
    if out is not None:
        from app.commands.row_files import write_frame

        write_frame(frame, out)
        say(f"wrote {frame.height:,} rows to {out}")
    elif not session.show(predictions.to_json()):
        for note in decision_notes(predictions.predictions):
            say(note)
        _show_frame(frame.rename(probability_names(predictions.predictions), strict=False))


def _rows_or_keys(keys: str, keys_file: Path | None, rows: Path | None) -> dict[str, Any]:
    if sum(map(bool, (keys, keys_file, rows))) != 1:
        raise typer.BadParameter("give exactly one of --keys, --keys-file and --rows")
    if rows is not None:
        from app.commands.row_files import read_objects, read_rows

        objects = read_objects(rows)
        return {"rows": read_rows(rows) if objects is None else objects}
    if keys_file is not None:
        lines = keys_file.read_text(encoding="utf-8-sig").splitlines()
        return {"keys": [line.strip() for line in lines if line.strip()]}
    return {"keys": list(split_names(keys))}


def probability_names(predictions: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of two classes the probability is that of the positive one, the last, whatever was decided: its column says so."""
    classes = {name: one["classes"] for name, one in predictions.items() if "label" in one}
    return {
        f"{name}.probability": f"{name}.probability({cell_text(named[-1])})"
        for name, named in classes.items()
        if len(named) == 2
    }


def decision_notes(predictions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a table of predictions does not say by itself: how labels were decided, and whose probability is shown."""
    notes = []
    for name, one in predictions.items():
        rule = dict(one.get("decision") or {})
        word = rule.pop("rule", "most_probable")
        if word != "most_probable":
            above = rule.pop("above", None)
            figures = [] if word == "costs" else [cell_text(value) for value in rule.values()]
            bound = "" if above is None else f" (above {cell_text(above)})"
            notes.append(f"{name}: decided by {' '.join([word, *figures])}{bound}")
        if len(one.get("classes") or ()) > 2:
            notes.append(f"{name}.probability: of the label that was decided (--all-classes shows every one)")
    return notes


def _show_frame(frame: pl.DataFrame) -> None:
    show_table(frame.columns, frame.head(_SHOWN_ROWS).iter_rows())
    if frame.height > _SHOWN_ROWS:
        say(f"{frame.height - _SHOWN_ROWS:,} more rows; --out FILE writes all of them")
