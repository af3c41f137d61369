"""What all labels of a target come to on one snapshot: task, classes, counts, warnings."""

from __future__ import annotations

import numpy as np
import polars as pl

from app.services.label_files import decode_values
from app.services.target_labels import (
    LabelFacts,
    count_labels,
    count_warnings,
    refuse_mixed_types,
    settle_task,
)
from models.features.label_times import precedes_row, row_seconds
from models.features.schema import JsonScalar, Role, TableSchema
from models.features.snapshot import Snapshot
from storage.orm import Target


def preceding(labels: pl.DataFrame, snapshot: Snapshot, schema: TableSchema) -> np.ndarray:
    """bool [n]: labels (key, at …) that became known before their row was true."""
    found = np.zeros(len(labels), dtype=bool)
    if labels["at"].null_count() == len(labels):
        return found
    seconds = row_seconds(snapshot, schema)
    if seconds is None:
        return found
    rows = snapshot.key_index.rows_of(labels["key"].to_list())
    has_row = rows >= 0
    found[has_row] = precedes_row(labels["at"].filter(pl.Series(has_row)), seconds[rows[has_row]])
    return found


def label_facts(
    target: Target,
    snapshot: Snapshot,
    schema: TableSchema,
    version: int,
    labels: pl.DataFrame,
    added: pl.DataFrame,
) -> LabelFacts:
    """Facts of all `labels` of a target of labels by key, of which `added` are new, on snapshot `version`.

    Raises: LabelError for values that do not fit the target's task and classes.
    """
    values: list[JsonScalar] = decode_values(labels["value"])
    refuse_mixed_types(values, target.classes)
    task, classes, warnings = settle_task(target, values, decode_values(added["value"]))
    rows = snapshot.key_index.rows_of(labels["key"].to_list())
    has_row = rows >= 0
    is_preceding = preceding(labels, snapshot, schema)
    is_used = has_row & ~is_preceding
    used = [value for value, is_one in zip(values, is_used.tolist(), strict=True) if is_one]
    counts = count_labels(used, snapshot.is_evaluation[rows[is_used]], int((~has_row).sum()), task, classes)
    counts["snapshot"] = version
    if is_preceding.any():
        counts["precede_row"] = int(is_preceding.sum())
        warnings.append(
            f"{counts['precede_row']} labels became known before the time of their row as it is now; they are kept, and "
            "not fitted."
        )
    if labels["at"].null_count() < len(labels) and _has_plain_numbers_as_time(schema):
        warnings.append(
            "The time column holds plain numbers, whose unit is not known, so `at` is not held against it."
        )
    return LabelFacts(task, classes, counts, [*warnings, *count_warnings(counts, task)])


def _has_plain_numbers_as_time(schema: TableSchema) -> bool:
    return any(column.storage_type not in ("date", "datetime") for column in schema.with_role(Role.TIME))
