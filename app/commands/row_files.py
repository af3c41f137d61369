"""Small files of rows: read without guessing, written without danger to whoever opens them in a spreadsheet."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import typer

from app.services.spreadsheets import guarded

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"

READ_ERRORS = (pl.exceptions.PolarsError, UnicodeDecodeError, json.JSONDecodeError, OSError, RecursionError)


def read_rows(file: Path) -> pl.DataFrame:
    """CSV and TSV as text (`01234` stays; empty is null), Parquet with its types, JSON as a list of objects.

    Raises:
        typer.BadParameter: the file is none of these, or damaged; says where, without contents.
    """
    suffix = file.suffix.lower()
    try:
        if suffix == ".parquet":
            return pl.read_parquet(file)
        if suffix in {".json", ".jsonl", ".ndjson"}:
            return pl.DataFrame(_read_objects(file), infer_schema_length=None, strict=False)
        separator = "\t" if suffix in {".tsv", ".tab"} else _separator(file)
        content = file.read_bytes()
        content.decode()  # polars lets some bytes through that are no UTF-8
        return pl.read_csv(content, separator=separator, infer_schema=False)
    except READ_ERRORS as error:
        kind = "CSV" if suffix not in {".parquet", ".json", ".jsonl", ".ndjson"} else suffix[1:]
        raise typer.BadParameter(f"{file.name} cannot be read as {kind} ({type(error).__name__})") from None


def read_objects(file: Path) -> list[dict[str, object]] | None:
    """The objects of a JSON file as they are; None for other files."""
    if file.suffix.lower() not in {".json", ".jsonl", ".ndjson"}:
        return None
    try:
        return _read_objects(file)
    except READ_ERRORS as error:
        raise typer.BadParameter(f"{file.name} cannot be read as JSON ({type(error).__name__})") from None


def _read_objects(file: Path) -> list[dict[str, object]]:
    text = file.read_text(encoding="utf-8-sig")
    if file.suffix.lower() == ".json":
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise typer.BadParameter(f'{file.name} holds no list of objects, such as [{{"age": 41}}]')
    return rows


def _separator(file: Path) -> str:
    """The separator the header line has most of."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        header = lines.readline(100_000)
    return max(",;\t|", key=header.count)


def typed(values: pl.Series) -> pl.Series:
    """A column of text as integers, floats or booleans where every value is exactly that; otherwise as it is."""
    if values.dtype != pl.String:
        return values
    given = values.drop_nulls()
    if given.is_empty():
        return values
    integers = given.cast(pl.Int64, strict=False)
    if integers.null_count() == 0 and (integers.cast(pl.String) == given).all():
        return values.cast(pl.Int64)
    if given.is_in(["true", "false"]).all():
        return values == "true"
    # A leading zero ("007") marks a code, not a number.
    if given.str.contains(_NUMBER).all() and not given.str.contains(r"^[+-]?0\d").any():
        return values.cast(pl.Float64)
    return values


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists as JSON text: a CSV file has no lists."""
    lists = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.List)]
    return frame.with_columns(
        pl.Series(name, [json.dumps(value, ensure_ascii=False) for value in frame[name].to_list()], pl.String)
        for name in lists
    )


def write_frame(frame: pl.DataFrame, file: Path) -> None:
    """By suffix: `.csv` (guarded), `.parquet`, `.json` (a list of objects); written whole or not at all."""
    fresh = file.with_name(f".{file.name}.partial")
    try:
        if file.suffix.lower() == ".parquet":
            frame.write_parquet(fresh)
        elif file.suffix.lower() == ".json":
            fresh.write_text(json.dumps(frame.to_dicts(), ensure_ascii=False, indent=1, allow_nan=False))
        else:
            guarded(_flat(frame)).write_csv(fresh)
        fresh.replace(file)
    finally:
        fresh.unlink(missing_ok=True)
