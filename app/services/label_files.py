"""The Parquet file behind a label set of source `keys`: one row per key that has a label, sorted by key.

| column | type | meaning |
|---|---|---|
| `key` | String | canonical text of the row's key (`models.features.labels.canonical_key`) |
| `value` | String | the label as one JSON scalar, so that `"1"`, `1`, `1.0` and `true` stay apart |
| `at` | Float64, null | when the label became known, UNIX seconds |
| `weight` | Float64, null | weight of the label; null is 1 |

A withdrawn label has no row; a label for a key the table does not have yet keeps its row. Written by the label
service, read by the fine-tune job.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
import polars as pl

from models.features.schema import JsonScalar

LABEL_FILE_SCHEMA = pl.Schema({"key": pl.String, "value": pl.String, "at": pl.Float64, "weight": pl.Float64})


def empty_labels() -> pl.DataFrame:
    return pl.DataFrame(schema=LABEL_FILE_SCHEMA)


def encode_value(value: JsonScalar) -> str:
    """The JSON text of one label value."""
    return orjson.dumps(value).decode()


def decode_values(values: Iterable[str]) -> list[JsonScalar]:
    """Label values with the JSON type they were sent with, in order."""
    known: dict[str, JsonScalar] = {}
    decoded: list[JsonScalar] = []
    for text in values:
        if text not in known:
            known[text] = orjson.loads(text)
        decoded.append(known[text])
    return decoded


def write_labels(frame: pl.DataFrame, path: Path) -> None:
    """Write labels [n rows]; the same labels give the same bytes, whatever their order."""
    frame.select(LABEL_FILE_SCHEMA.names()).sort("key").write_parquet(
        path, compression="zstd", statistics=False
    )


def read_labels(path: Path) -> pl.DataFrame:
    """Labels [n rows] with the columns above."""
    return pl.read_parquet(path, schema=LABEL_FILE_SCHEMA)
