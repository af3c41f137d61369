"""A snapshot without some of its rows, as if they had never been in its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.ingestion import profiled, store_snapshot, with_row_ids
from models.features.schema import ROW_COLUMN, SplitRule, TableSchema
from models.features.snapshot import Snapshot

IndexArray = npt.NDArray[np.int64]


def write_without(
    snapshot: Snapshot,
    schema: TableSchema,
    profile: Mapping[str, Any],
    rule: SplitRule,
    removed: IndexArray,
    out: Path,
) -> int:
    """Write the files of `snapshot` without the rows at `removed` [r] into the folder `out`; returns how many are left.

    The rows that stay keep order, key and split, and are numbered anew. The profile is counted anew; what the reader of the file had to say in it stays.
    """
    before = snapshot.read()
    is_gone = np.zeros(before.height, dtype=bool)
    is_gone[removed] = True
    after = with_row_ids(before.filter(pl.Series(~is_gone)).drop(ROW_COLUMN), schema)
    counted = profiled(before, schema, rule, ())["warnings"]
    of_reader = [note for note in profile.get("warnings", ()) if note not in counted]
    store_snapshot(out, after, schema, profiled(after, schema, rule, of_reader))
    return after.height
