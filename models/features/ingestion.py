"""From a file as people send it to a snapshot: read, keyed, split, profiled, written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.errors import Interrupted
from models.features.keys import row_keys
from models.features.kinds import infer_schema
from models.features.profile import profile_table
from models.features.reading import RawTable, ReadLimits, ReadOptions, SourceFile, read_tables
from models.features.schema import (
    KEY_COLUMN,
    ROW_COLUMN,
    SPLIT_COLUMN,
    ColumnOverride,
    Role,
    SplitBy,
    SplitRule,
    TableSchema,
)
from models.features.snapshot import PROFILE_FILE, ROWS_FILE, SCHEMA_FILE, write_rows
from models.features.split_report import split_report
from models.features.splits import apply_rule, settle_rule
from models.progress import Progress, never_stop, no_progress

_STEPS = (
    "reading the file",
    "telling kinds",
    "assigning keys and splits",
    "profiling",
    "writing the snapshot",
)


class IngestSpec(BaseModel):
    """What the caller says about a table at registration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, ColumnOverride] = Field(default_factory=dict)
    split: SplitBy = SplitBy()
    evaluation_fraction: float = Field(default=0.1, ge=0.0, le=0.5)
    reading: ReadOptions = ReadOptions()
    limits: ReadLimits = ReadLimits()


class IngestReport(BaseModel):
    model_config = ConfigDict(frozen=True)

    table_schema: TableSchema
    num_rows: int
    profile: dict[str, Any]
    warnings: tuple[str, ...]
    rule: SplitRule


def ingest(
    files: Sequence[SourceFile],
    spec: IngestSpec,
    out: Path,
    *,
    progress: Progress = no_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> IngestReport:
    """Reads `files`, one after the other, and writes `rows.parquet`, `schema.json` and `profile.json` into the
    folder `out`; `rows.parquet` comes last, so that a folder with one is complete.

    Columns with the role `drop` are not stored, and leave no trace in schema and profile.

    Raises: TableFormatError, SchemaError (see `reading.read_tables`, `kinds`, `keys`, `splits`), Interrupted.
    """

    def begin(step: int) -> None:
        if should_stop():
            raise Interrupted(f"Stopped before {_STEPS[step]}; nothing was stored.")
        progress(step, len(_STEPS), _STEPS[step])

    begin(0)
    table = read_tables(files, spec.reading, spec.limits, scratch=out)
    begin(1)
    table, schema = _without_dropped(table, spec)
    begin(2)
    frame = table.frame.with_columns(row_keys(table, schema))
    rule = settle_rule(frame, schema, spec.split, spec.evaluation_fraction)
    frame = with_row_ids(frame.with_columns(apply_rule(frame, schema, rule)), schema)
    begin(3)
    profile = profiled(frame, schema, rule, table.warnings)
    begin(4)
    store_snapshot(out, frame, schema, profile)
    progress(len(_STEPS), len(_STEPS), "done")
    return IngestReport(
        table_schema=schema,
        num_rows=frame.height,
        profile=profile,
        warnings=tuple(profile["warnings"]),
        rule=rule,
    )


def with_row_ids(frame: pl.DataFrame, schema: TableSchema) -> pl.DataFrame:
    """`frame` with its rows numbered, in the columns of a stored snapshot."""
    row = pl.int_range(frame.height, eager=True, dtype=pl.Int64).alias(ROW_COLUMN)
    return frame.with_columns(row).select(ROW_COLUMN, KEY_COLUMN, SPLIT_COLUMN, *schema.names)


def profiled(
    frame: pl.DataFrame, schema: TableSchema, rule: SplitRule, warnings: Iterable[str]
) -> dict[str, Any]:
    """The profile of a snapshot, with what its split came to; `warnings` of the reader come first."""
    profile = profile_table(frame, schema)
    split = split_report(frame, schema, rule)
    profile["split"] = split
    profile["warnings"] = list(dict.fromkeys((*warnings, *profile["warnings"], *split["warnings"])))
    return profile


def store_snapshot(out: Path, frame: pl.DataFrame, schema: TableSchema, profile: dict[str, Any]) -> None:
    """The files of a snapshot into the folder `out`; `rows.parquet` comes last."""
    out.mkdir(parents=True, exist_ok=True)
    _write_text(out / SCHEMA_FILE, schema.model_dump_json())
    _write_text(out / PROFILE_FILE, json.dumps(profile, ensure_ascii=False, allow_nan=False))
    partial = out / f"{ROWS_FILE}.partial"
    write_rows(frame, partial)
    os.replace(partial, out / ROWS_FILE)


def _without_dropped(table: RawTable, spec: IngestSpec) -> tuple[RawTable, TableSchema]:
    """Names are checked against the whole file; kinds are told for what stays."""
    dropped = [
        name for name, said in spec.columns.items() if said.role is Role.DROP and name in table.frame.columns
    ]  # fmt: skip
    stored = table.frame.drop(dropped)
    said = {name: override for name, override in spec.columns.items() if name not in dropped}
    schema = infer_schema(stored, said)
    # What the reader said of a dropped column's cells is dropped with it.
    warnings = tuple(
        note for note in table.warnings if not any(f"Column {name!r}" in note for name in dropped)
    )
    return replace(table, frame=stored, warnings=warnings), schema


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
