"""A folder of real tables as the benchmark takes it, made up: one small table with everything that a manifest can say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

NUM_ROWS = 400
BEWARE = [
    {"column": "id", "why": "id"},
    {"column": "weight", "why": "survey weight, not a feature"},
    {"column": "duration", "why": "known only after the call: leaks y (the paper keeps it)"},
    {"column": "total", "why": "~ z twice: only leaky for that target"},
    {"column": "household", "why": "household: group by it when splitting"},
]
TARGETS = [
    {"column": "y", "task": "binary"},
    {"column": "z", "task": "regression"},
    {"column": "kind", "task": "multiclass"},
]


def tiny_table(num_rows: int = NUM_ROWS) -> pl.DataFrame:
    """`x` decides `y`, `z` and `kind`; every tenth row is a copy of the one before it, and four rows share a household."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=num_rows)
    noise = 0.4 * rng.normal(size=num_rows)
    frame = pl.DataFrame({
        "id": [f"row-{i}" for i in range(num_rows)],
        "x": pl.Series(x.astype(np.float32)),
        "colour": np.array(["red", "green", "blue"], dtype=object)[rng.integers(0, 3, num_rows)],
        "code": pl.Series(rng.integers(0, 5, num_rows).astype(np.int16)),
        "weight": rng.random(num_rows),
        "duration": rng.random(num_rows),
        "total": 2.0 * x,
        "household": np.arange(num_rows) // 4,
        "y": np.where(x + noise > 0.6, "yes", "no"),
        "z": x + noise,
        "kind": np.array(["a", "b", "c"], dtype=object)[np.digitize(x, [-0.5, 0.5])],
    })  # fmt: skip
    copied = np.arange(num_rows) - (np.arange(num_rows) % 10 == 9)
    features = [name for name in frame.columns if name not in ("id", "household")]
    copies = frame.select(features)[copied]
    missing = pl.Series(rng.random(num_rows) < 0.1)
    return frame.with_columns(copies).with_columns(
        pl.when(missing).then(None).otherwise(pl.col("colour")).alias("colour"),
        pl.when(pl.int_range(num_rows) % 25 == 3).then(None).otherwise(pl.col("kind")).alias("kind"),
    )


def write_folder(folder: Path) -> Path:
    """Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_table().write_parquet(folder / "tiny.parquet")
    entry = {
        "name": "tiny", "file": "tiny.parquet", "rows": NUM_ROWS, "columns": 11, "key": "id",
        "targets": TARGETS, "beware": BEWARE, "notes": "made up",
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"tables": [entry], "messy": []}))
    return folder
