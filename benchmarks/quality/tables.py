"""A table of the manifest as every compared system gets it: plain columns, their kinds, and the labels of one target.

Shape letters: `N` rows of the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.quality.manifest import DataError, ManifestTable, absent_columns, group_columns
from benchmarks.quality.trial import FloatArray, IndexArray
from models.errors import TableFormatError
from models.features.kinds import infer_schema
from models.features.reading import ReadLimits, ReadOptions, read_table
from models.features.schema import ColumnKind, ColumnSchema, TableSchema, Task

TABLES_VERSION = 1
"""Raise it when the columns or labels of a table change, so that no older figure stands for the new ones."""

MIN_CLASS_ROWS = 20
"""A class of fewer rows has none to learn from and to be judged on in each split: such rows have no label here."""


@dataclass(frozen=True, eq=False)
class Study:
    """One target of one table.

    `frame` [N] and `schema` have feature columns alone: Float64 and continuous, or String and categorical. `labels` [N]
    are class index or number, NaN where there is none. Rows of one number in `groups` [N] stay on one side of a split:
    they are equal in all features and the label, or of one patient, say.
    """

    table: str
    target: str
    task: Task
    classes: tuple[str, ...]
    frame: pl.DataFrame
    schema: TableSchema
    labels: FloatArray
    groups: IndexArray


def load_study(data: Path, entry: ManifestTable, target: str, *, keep_traps: bool = True) -> Study:
    """Raises: DataError, as `load_studies`."""
    return load_studies(data, entry, [target], keep_traps=keep_traps)[0]


def load_studies(
    data: Path, entry: ManifestTable, targets: Sequence[str], *, keep_traps: bool = True
) -> tuple[Study, ...]:
    """Several targets of the same features, none of which is any of them or gives any of them away.

    Rows that are equal in the features and the first target's label are one group in all of them.

    Raises:
        DataError: the file is missing or damaged, or has no such target, or no features or labels are left.
    """
    tasks = [entry.target(target).task for target in targets]
    frame = _read(data / entry.file)
    missing = [target for target in targets if target not in frame.columns]
    if missing:
        raise DataError(f"{entry.file} has no column {missing[0]!r}, though its manifest says so")
    absent = set(targets)
    for target in targets:
        absent.update(absent_columns(entry, target, frame.columns, keep_traps=keep_traps))
    columns = _features(frame.select([name for name in frame.columns if name not in absent]))
    if not columns:
        raise DataError(f"table {entry.name} has no column that says anything about {targets[0]!r}")
    plain = pl.DataFrame([series for series, _ in columns])
    schema = TableSchema(columns=tuple(_column_schema(series, kind) for series, kind in columns))
    labelled = [_labels(frame[target], task) for target, task in zip(targets, tasks, strict=True)]
    equal = plain.with_columns(pl.Series("_label", labelled[0][0]))
    together = [frame.select(name) for name in group_columns(entry) if name in frame.columns]
    groups = _connected([equal, *together])
    return tuple(
        Study(entry.name, target, task, classes, plain, schema, labels, groups)
        for target, task, (labels, classes) in zip(targets, tasks, labelled, strict=True)
    )


def _features(frame: pl.DataFrame) -> list[tuple[pl.Series, ColumnKind]]:
    if not frame.width:
        return []
    return [
        plain
        for column in infer_schema(frame, {}).encoded
        for plain in plain_columns(frame[column.name], column.kind)
    ]


def file_digest(path: Path) -> str:
    """Raises: DataError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"{path} is in the manifest and cannot be read ({type(error).__name__})") from error


def plain_columns(column: pl.Series, kind: ColumnKind) -> list[tuple[pl.Series, ColumnKind]]:
    """One canonical column as columns that every system can take: Float64 or String.

    A moment becomes days since 1970 with its fraction, and month, weekday and hour as categories: nobody compared here
    has anything of its own for dates.
    """
    if kind is ColumnKind.DATETIME and column.dtype.is_temporal():
        return _moments(column)
    if kind is ColumnKind.CONTINUOUS:
        numbers = column.cast(pl.Float64, strict=False).fill_nan(None)
        return [(numbers, ColumnKind.CONTINUOUS)]
    if column.dtype == pl.Float64:
        whole = column.cast(pl.Int64, strict=False)
        column = whole if (whole == column).all() else column
    return [(column.cast(pl.String), ColumnKind.CATEGORICAL)]


def _moments(column: pl.Series) -> list[tuple[pl.Series, ColumnKind]]:
    name, moment = column.name, column.cast(pl.Datetime("us"))
    days = (moment.dt.timestamp("us") / 86_400e6).cast(pl.Float64).alias(f"{name}.days")
    found = [(days, ColumnKind.CONTINUOUS)]
    parts = {"month": moment.dt.month(), "weekday": moment.dt.weekday(), "hour": moment.dt.hour()}
    for part, values in parts.items():
        if values.drop_nulls().n_unique() > 1:
            found.append((values.cast(pl.String).alias(f"{name}.{part}"), ColumnKind.CATEGORICAL))
    return found


@lru_cache(maxsize=2)
def _read(path: Path) -> pl.DataFrame:
    try:
        return read_table(path, path.name, ReadOptions(), ReadLimits()).frame
    except (TableFormatError, OSError) as error:
        message = error.message if isinstance(error, TableFormatError) else type(error).__name__
        raise DataError(f"{path} cannot be read: {message}") from error


def _column_schema(series: pl.Series, kind: ColumnKind) -> ColumnSchema:
    return ColumnSchema(
        name=series.name, kind=kind, storage_type="float" if kind is ColumnKind.CONTINUOUS else "string"
    )


def _labels(column: pl.Series, task: Task) -> tuple[FloatArray, tuple[str, ...]]:
    """Numbers or class indices [N], NaN where there is none, and the classes; of two, the positive one is last."""
    if task is Task.REGRESSION:
        numbers = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy().copy()
        if not np.isfinite(numbers).any():
            raise DataError(f"target {column.name!r} is regression in the manifest and has no numbers")
        return numbers, ()
    texts = plain_columns(column, ColumnKind.CATEGORICAL)[0][0]
    counts = texts.drop_nulls().value_counts(name="rows").rows()
    classes = tuple(sorted((text for text, rows in counts if rows >= MIN_CLASS_ROWS), key=_class_order))
    if len(classes) < 2 or (task is Task.BINARY and len(classes) != 2):
        raise DataError(
            f"target {column.name!r} is {task.value} in the manifest and has {len(classes)} classes of at least "
            f"{MIN_CLASS_ROWS} rows"
        )
    index = {text: float(k) for k, text in enumerate(classes)}
    return np.array([index.get(text, np.nan) for text in texts], dtype=np.float64), classes


def _class_order(text: str) -> tuple[bool, float, str]:
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _connected(parts: Sequence[pl.DataFrame]) -> IndexArray:
    """Number of each row's group: rows that are equal in any of the parts are connected. Null in a single column is
    nobody's value."""
    num_rows = parts[0].height
    edges: list[IndexArray] = []
    start = num_rows
    for part in parts:
        ranks = part.select(pl.struct(part.columns).rank("dense")).to_series()
        nodes = ranks.cast(pl.Int64).to_numpy() + (start - 1)
        start = int(nodes.max()) + 1
        rows = np.arange(num_rows)
        if part.width == 1:
            rows = rows[part.to_series().is_not_null().to_numpy()]
        edges.append(np.stack([rows, nodes[rows]]))
    source, node = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(len(source), dtype=np.int8), (source, node)), shape=(start, start))
    _, numbers = connected_components(graph, directed=False)
    return np.asarray(numbers[:num_rows], dtype=np.int64)
