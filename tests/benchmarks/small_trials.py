"""Trials on an easy made-up table: `colour` decides most of every target, `size` the rest, `noise` nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.quality.trial import IndexArray, Trial
from models.features.schema import ColumnKind, ColumnSchema, TableSchema, Task

COLOURS = ("red", "orange", "blue", "green")
NUM_ROWS = 400

SCHEMA = TableSchema(
    columns=(
        ColumnSchema(name="colour", kind=ColumnKind.CATEGORICAL, storage_type="string"),
        ColumnSchema(name="size", kind=ColumnKind.CONTINUOUS, storage_type="float"),
        ColumnSchema(name="noise", kind=ColumnKind.CONTINUOUS, storage_type="float"),
        ColumnSchema(name="flag", kind=ColumnKind.BOOLEAN, storage_type="boolean"),
    )
)


def easy_trial(task: Task, num_labels: int = 60, seed: int = 0) -> tuple[Trial, IndexArray, np.ndarray]:
    """A trial, and rows of the table that are not in it with their labels."""
    rng = np.random.default_rng(seed)
    colours, sizes = rng.integers(0, len(COLOURS), NUM_ROWS), rng.normal(size=NUM_ROWS)
    values = 2.0 * colours + sizes + 0.3 * rng.normal(size=NUM_ROWS)
    is_missing = rng.random((2, NUM_ROWS)) < 0.05
    named = np.array(COLOURS, dtype=object)[colours]
    named[is_missing[0]] = None
    frame = pl.DataFrame(
        {
            "colour": named,
            "size": np.where(is_missing[1], np.nan, sizes),
            "noise": 1_000.0 * rng.normal(size=NUM_ROWS),
            "flag": rng.integers(0, 2, NUM_ROWS).astype(str),
        },
        schema_overrides={"colour": pl.String},
    ).with_columns(pl.col("size").fill_nan(None))
    classes: tuple[str, ...] = ()
    labels = values
    if task is not Task.REGRESSION:
        classes = ("low", "high") if task is Task.BINARY else ("low", "middle", "high")
        borders = np.quantile(values, np.arange(1, len(classes)) / len(classes))
        labels = np.searchsorted(borders, values).astype(np.float64)
    rows = np.arange(NUM_ROWS)
    train, test = rows[: NUM_ROWS // 2], rows[NUM_ROWS // 2 :]
    trial = Trial(
        table="easy",
        target="value",
        task=task,
        classes=classes,
        frame=frame,
        schema=SCHEMA,
        split=0,
        train_rows=train,
        labelled_rows=train[:num_labels],
        labels=labels[:num_labels],
        validation_rows=rows[:0],
        validation_labels=labels[:0],
        seed=seed,
        threads=1,
    )
    return trial, test, labels[test]


def with_validation(trial: Trial, num_rows: int) -> Trial:
    """The last `num_rows` of its labelled rows become its validation rows."""
    return replace(
        trial,
        labelled_rows=trial.labelled_rows[:-num_rows],
        labels=trial.labels[:-num_rows],
        validation_rows=trial.labelled_rows[-num_rows:],
        validation_labels=trial.labels[-num_rows:],
    )
