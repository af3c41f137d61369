"""From a file to the next snapshot of a table that has one: read, merged, compared, split, profiled, written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.errors import InputError, Interrupted, SchemaError
from models.features.drift import drift_report, refuse_severe
from models.features.ingestion import IngestReport, profiled, store_snapshot, with_row_ids
from models.features.keys import row_keys
from models.features.kinds import storage_type_of
from models.features.merging import Changes, Merged, Mode, OnConflict, merge
from models.features.next_schema import check_overrides, next_schema
from models.features.reading import RawTable, ReadLimits, ReadOptions, SourceFile, read_tables, sniff
from models.features.reading.kept_spellings import held_spellings
from models.features.schema import (
    KEY_COLUMN,
    SPLIT_COLUMN,
    ColumnKind,
    ColumnOverride,
    Role,
    SplitBy,
    SplitRule,
    TableSchema,
)
from models.features.snapshot import Snapshot
from models.features.split_continuity import continue_splits
from models.features.splits import settle_rule
from models.progress import Progress, never_stop, no_progress

_STEPS = (
    "reading the file",
    "merging rows",
    "comparing with the snapshot before",
    "profiling",
    "writing the snapshot",
)
_HEAD_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Parent:
    """The snapshot that rows are merged into, under the kinds and roles that hold now.

    `rule`: how its rows were assigned to sides; None for a table registered before rules were kept, for which it
    follows from what was said then.
    """

    snapshot: Snapshot
    table_schema: TableSchema
    rule: SplitRule | None = None
    split: SplitBy = field(default_factory=SplitBy)
    evaluation_fraction: float = 0.1


class NextSpec(BaseModel):
    """What the caller says about the new rows; `dropped`: columns the table has said it does not store; `split` and
    `evaluation_fraction`: another rule for the rows that are new."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode
    on_conflict: OnConflict | None = None
    accept_drift: bool = False
    columns: dict[str, ColumnOverride] = Field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    split: SplitBy | None = None
    evaluation_fraction: float | None = Field(default=None, ge=0.0, le=0.5)
    reading: ReadOptions = ReadOptions()
    limits: ReadLimits = ReadLimits()


class NextReport(IngestReport):
    changes: Changes
    drift: dict[str, Any]
    dropped: tuple[str, ...]


def ingest_next(
    files: Sequence[SourceFile],
    parent: Parent,
    spec: NextSpec,
    out: Path,
    *,
    progress: Progress = no_progress,
    should_stop: Callable[[], bool] = never_stop,
) -> NextReport:
    """Reads `files` and writes the files of the next snapshot into the folder `out`, `rows.parquet` last.

    Raises: TableFormatError; SchemaError (`check_mode`, `merging.merge`, `drift.refuse_severe`, `next_schema`, keys,
        splits); Interrupted.
    """

    def begin(step: int) -> None:
        if should_stop():
            raise Interrupted(f"Stopped before {_STEPS[step]}; nothing was stored.")
        progress(step, len(_STEPS), _STEPS[step])

    begin(0)
    before_schema = parent.table_schema
    on_conflict = check_mode(before_schema, spec.mode, spec.on_conflict)
    dropped = _dropped(before_schema, spec)
    kept_schema = TableSchema(columns=tuple(c for c in before_schema.columns if c.name not in dropped))
    stored = parent.snapshot.read().select(KEY_COLUMN, SPLIT_COLUMN, *kept_schema.names)
    table = _read(files, stored, before_schema, spec, dropped, out)
    begin(1)
    merged = merge(stored, table, _keys(table, kept_schema), spec.mode, on_conflict)
    overrides = {name: said for name, said in spec.columns.items() if name not in dropped}
    columns = merged.frame.drop(KEY_COLUMN, SPLIT_COLUMN)
    schema, suggested = next_schema(columns, kept_schema, overrides)
    begin(2)
    drift = _drift(merged, (kept_schema, schema), table.frame.columns, suggested, spec)
    rule = _rule(stored, parent, merged, schema, spec)
    frame = with_row_ids(
        merged.frame.with_columns(continue_splits(merged.frame, merged.before, schema, rule)), schema
    )
    begin(3)
    profile = profiled(frame, schema, rule, (*table.warnings, *_warnings(spec, kept_schema, merged.changes)))
    begin(4)
    store_snapshot(out, frame, schema, profile)
    progress(len(_STEPS), len(_STEPS), "done")
    return NextReport(
        table_schema=schema,
        num_rows=frame.height,
        profile=profile,
        warnings=tuple(profile["warnings"]),
        rule=rule,
        changes=merged.changes,
        drift=drift,
        dropped=tuple(sorted(dropped)),
    )


def check_mode(schema: TableSchema, mode: Mode, on_conflict: OnConflict | None) -> OnConflict:
    """What becomes of rows that are there already. Raises: SchemaError no_key_column, conflict_not_applicable."""
    has_key = bool(schema.with_role(Role.KEY))
    if mode is Mode.UPSERT and not has_key:
        raise SchemaError(
            "Rows are found again by their key, and this table has no key column. Use append or replace, or register "
            "the table with a key.",
            code="no_key_column",
        )
    if on_conflict is not None and (mode is Mode.REPLACE or not has_key):
        reason = "replaces all rows" if mode is Mode.REPLACE else "adds every row, since the table has no key"
        raise SchemaError(
            f"on_conflict says what becomes of rows whose key is there already; {mode} {reason}. Leave it out.",
            code="conflict_not_applicable",
        )
    return on_conflict or (OnConflict.UPDATE if mode is Mode.UPSERT else OnConflict.REFUSE)


def _dropped(schema: TableSchema, spec: NextSpec) -> set[str]:
    """Columns that are not stored: those of the table that nothing else is said of, and those said now."""
    check_overrides(schema, spec.columns)
    dropped = {name for name in spec.dropped if spec.columns.get(name, ColumnOverride()).role is None}
    return dropped | {name for name, said in spec.columns.items() if said.role is Role.DROP}


def _read(
    files: Sequence[SourceFile],
    stored: pl.DataFrame,
    schema: TableSchema,
    spec: NextSpec,
    dropped: set[str],
    scratch: Path,
) -> RawTable:
    """The file without the columns that are dropped. Text columns of the table are read as text: `01234` among
    numbers would lose its zero. (A column without any value so far is text for want of another type.) A null
    spelling that a text column of the table holds as a value, such as `None`, is that value in the file too.

    Raises: TableFormatError; SchemaError unknown_column, missing_key_column.
    """
    names = _first_names(files, spec)
    text = {
        name
        for name in stored.columns
        if stored[name].dtype == pl.String and stored[name].null_count() < stored.height
    }
    text_columns = tuple(name for name in names if name in text or name in spec.reading.text_columns)
    options = spec.reading.model_copy(update={"text_columns": text_columns})
    if options.null_values is None:  # what the caller says is "no value" is so
        options = options.keeping(held_spellings(stored.drop(KEY_COLUMN, SPLIT_COLUMN)))
    table = read_tables(files, options, spec.limits, scratch=scratch)
    unknown = sorted(name for name in spec.columns if name not in table.frame.columns and name not in schema)
    if unknown:
        raise SchemaError(
            f"Neither the table nor the file has a column {unknown[0]!r}; spelling and case count.",
            code="unknown_column", column=unknown[0],
        )  # fmt: skip
    missing = [c.name for c in schema.with_role(Role.KEY) if c.name not in table.frame.columns]
    if missing:
        raise SchemaError(
            f"The file lacks the table's key column {missing[0]!r}; its rows cannot be told apart without it.",
            code="missing_key_column", column=missing[0],
        )  # fmt: skip
    frame = table.frame.drop([name for name in table.frame.columns if name in dropped])
    if not any(name in schema for name in frame.columns):
        raise SchemaError(
            f"None of the file's {frame.width} columns is one of the table's {len(schema.columns)}. Check the header; names "
            "are case-sensitive.",
            code="no_shared_column",
        )
    notes = tuple(note for note in table.warnings if not any(f"Column {name!r}" in note for name in dropped))
    return replace(table, frame=frame, warnings=notes)


def _first_names(files: Sequence[SourceFile], spec: NextSpec) -> tuple[str, ...]:
    """Columns of the first file by its beginning; empty where that does not tell (its columns have types then)."""
    with files[0].path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        is_whole_file = not file.read(1)
    options = spec.reading.model_copy(update={"text_columns": ()})
    try:
        return sniff(head, files[0].name, options, spec.limits, is_whole_file=is_whole_file).columns
    except InputError:  # reading all of it says why, with the line
        return ()


def _keys(table: RawTable, schema: TableSchema) -> pl.Series | None:
    """`_key` of the file's rows; None for a table without a key.

    Raises: SchemaError, as `row_keys`, and key_type_changed.
    """
    columns = []
    for column in schema.with_role(Role.KEY):
        storage = storage_type_of(table.frame[column.name].dtype)
        if storage != column.storage_type and not {storage, column.storage_type} <= {"integer", "string"}:
            raise SchemaError(
                f"The key column {column.name!r} is stored as {column.storage_type}; the file has it as {storage}, so that "
                "its keys would be spelled otherwise. Write it as before.",
                code="key_type_changed", column=column.name,
            )  # fmt: skip
        columns.append(column.model_copy(update={"storage_type": storage}))
    return row_keys(table, TableSchema(columns=tuple(columns))) if columns else None


def _drift(
    merged: Merged,
    schemas: tuple[TableSchema, TableSchema],
    file_columns: Sequence[str],
    suggested: dict[str, ColumnKind],
    spec: NextSpec,
) -> dict[str, Any]:
    """Raises: SchemaError drift_refused."""
    report = drift_report(
        merged.before,
        merged.incoming,
        schemas,
        file_columns,
        spec.mode,
        merged.changes,
        suggested,
        (merged.num_known, merged.emptied),
    )
    if not spec.accept_drift:
        refuse_severe(report)
    return report


def _rule(
    stored: pl.DataFrame, parent: Parent, merged: Merged, schema: TableSchema, spec: NextSpec
) -> SplitRule:
    """The table's rule; another one where the caller says so now, for the rows that are new."""
    rule = parent.rule
    if rule is None:
        rule = settle_rule(stored, parent.table_schema, parent.split, parent.evaluation_fraction)
    fraction = rule.evaluation_fraction if spec.evaluation_fraction is None else spec.evaluation_fraction
    if spec.split is not None:
        return settle_rule(merged.frame, schema, spec.split, fraction)
    if rule.by == "time" and rule.cutoff is None and fraction > 0.0:
        return settle_rule(merged.frame, schema, SplitBy(by="time"), fraction)
    return rule.model_copy(update={"evaluation_fraction": fraction})


def _warnings(spec: NextSpec, schema: TableSchema, changes: Changes) -> list[str]:
    if spec.mode is Mode.REPLACE and not schema.with_role(Role.KEY) and changes.removed + changes.added:
        return [
            "The table has no key: its rows are known by their number, and labels sent by number now belong to the new "
            "rows with these numbers."
        ]
    return []
