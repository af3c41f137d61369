"""Labels that are the values of a column, of the current snapshot or of the one that a label set was read from."""

from __future__ import annotations

import polars as pl

from app.jobs.contract import Task
from app.jobs.lineage import first_of_line
from app.jobs.snapshots import ROWS_FILE
from models.errors import LabelError
from models.features.schema import KEY_COLUMN, Role, TableSchema
from models.features.snapshot import Snapshot
from storage.artifacts.manifest import bundle_path
from storage.orm import LabelSet


def column_labels(
    task: Task,
    snapshot: Snapshot,
    snapshot_id: str,
    schema: TableSchema,
    column: str,
    label_set: LabelSet,
) -> pl.DataFrame:
    """`_row`, `_key`, `_split` and the column of all rows of the current snapshot; null where a row has no label.

    A label set that was read from an earlier snapshot labels the rows it was read from, with the values they had then.

    Raises:
        LabelError: label_column_lost; labels_of_another_snapshot, where earlier rows cannot be found again.
    """
    if label_set.snapshot_id is None or label_set.snapshot_id == snapshot_id:
        return _read(snapshot, column)
    with task.database.reading() as uow:
        earlier = uow.tables.snapshot(label_set.snapshot_id)
        has_key = bool(
            schema.with_role(Role.KEY)
        )  # where rows have keys, snapshots of the line may be deleted
        is_one_line = has_key or first_of_line(uow, earlier.id) == first_of_line(uow, snapshot_id)
    if not is_one_line:
        raise LabelError(
            f"The labels were read from snapshot {earlier.version}, whose rows cannot be found in the current one: the "
            "table has no key and was replaced. Fit on the latest labels.",
            code="labels_of_another_snapshot",
        )
    path = bundle_path(task.store, task.workspace_id, earlier.manifest_digest, ROWS_FILE)
    then = _read(Snapshot(path), column).select(KEY_COLUMN, column)
    return snapshot.read([]).join(then, on=KEY_COLUMN, how="left", maintain_order="left")


def _read(snapshot: Snapshot, column: str) -> pl.DataFrame:
    if column not in snapshot.columns:
        raise LabelError(
            f"The snapshot has no column {column!r} (any more), which the target's labels are read from. Send labels by "
            "key to another target, or a snapshot that has it.",
            code="label_column_lost",
        )
    return snapshot.read([column])
