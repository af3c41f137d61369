"""From what a head is pinned to (target, label set, view) to labels on rows of the snapshot."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from app.jobs.column_labels import column_labels
from app.jobs.contract import Task
from app.schemas.payloads import LabelsRequest
from app.services.label_facts import preceding
from app.services.label_files import decode_values, read_labels
from app.serving.decisions import rule_of
from models.errors import LabelError
from models.features.labels import encode_labels
from models.features.schema import KEY_COLUMN, ROW_COLUMN, SPLIT_COLUMN, Role, TableSchema
from models.features.schema import Task as PredictionTask
from models.features.snapshot import Snapshot
from models.training.targets import TargetData
from storage.orm import Head, LabelSet, Target

EVALUATION = "evaluation"
_LABEL = "label"
_WEIGHT = "label_weight"


def target_data(
    task: Task,
    snapshot: Snapshot,
    schema: TableSchema,
    head: Head,
    target: Target,
    label_set: LabelSet,
    request: LabelsRequest,
    snapshot_id: str,
) -> TargetData:
    """Labels of `target` as `head` is to be fitted on them; `snapshot_id` is that of `snapshot`.

    Raises:
        LabelError: the target has no task yet, or values that are not of its task and classes; as `column_labels`.
    """
    if target.task is None:
        raise LabelError(f"The target {target.name!r} has no labels yet; send some first.", code="no_labels")
    labelled = (
        _from_column(
            column_labels(task, snapshot, snapshot_id, schema, str(target.column_name), label_set),
            str(target.column_name),
        )
        if label_set.digest is None
        else _from_keys(task, snapshot, schema, label_set.digest)
    )
    labelled = sample_train_labels(labelled.sort(ROW_COLUMN), request)
    classes = None if target.classes is None else tuple(target.classes)
    prediction_task = PredictionTask(target.task)
    rows = labelled[ROW_COLUMN].to_numpy().astype(np.int64)
    return TargetData(
        name=target.name,
        task=prediction_task,
        classes=classes,
        view=tuple(head.view),
        rows=rows,
        values=encode_labels(labelled[_LABEL].to_list(), prediction_task, classes),
        evaluation=(labelled[SPLIT_COLUMN] == EVALUATION).to_numpy(),
        weights=_weights(snapshot, schema, labelled, rows),
        seen_in_pretraining=head.seen_in_pretraining,
        column=target.column_name,
        decision=rule_of(target.decision),
    )


def sample_train_labels(labelled: pl.DataFrame, request: LabelsRequest) -> pl.DataFrame:
    """At most `request.limit` labels of train rows, and all of evaluation rows; the order of rows is kept.

    The draw is plain (not stratified), depends on the seed and the number of train labels only, and is nested: the
    first 50 are among the first 200.
    """
    train = np.flatnonzero((labelled[SPLIT_COLUMN] != EVALUATION).to_numpy())
    if request.limit is None or len(train) <= request.limit:
        return labelled
    order = np.random.Generator(np.random.PCG64(request.seed)).random(len(train)).argsort(kind="stable")
    keep = (labelled[SPLIT_COLUMN] == EVALUATION).to_numpy().copy()
    keep[train[order[: request.limit]]] = True
    return labelled.filter(pl.Series(keep))


def _from_column(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    return frame.select(
        ROW_COLUMN, SPLIT_COLUMN, pl.col(column).alias(_LABEL), pl.lit(None, pl.Float64).alias(_WEIGHT)
    ).filter(pl.col(_LABEL).is_not_null())


def _from_keys(task: Task, snapshot: Snapshot, schema: TableSchema, digest: str) -> pl.DataFrame:
    """Labels by key, joined to the rows that exist; a label of an unknown key waits for its row, and one that became
    known before the time of its row as it is now is not used."""
    labels = read_labels(task.store.local_path(task.workspace_id, digest))
    labels = labels.filter(pl.Series(~preceding(labels, snapshot, schema)))
    joined = snapshot.read([]).join(labels, left_on=KEY_COLUMN, right_on="key", how="inner")
    values = pl.Series(_LABEL, decode_values(joined["value"]), dtype=pl.Object)
    return joined.select(ROW_COLUMN, SPLIT_COLUMN, pl.col("weight").alias(_WEIGHT)).with_columns(values)


def _weights(
    snapshot: Snapshot, schema: TableSchema, labelled: pl.DataFrame, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64] | None:
    """Weight of each label: its own times its row's (the column of role `weight`); a missing one is 1."""
    weighted = schema.with_role(Role.WEIGHT)
    if not weighted and labelled[_WEIGHT].null_count() == len(labelled):
        return None
    weights = labelled[_WEIGHT].fill_null(1.0).to_numpy().astype(np.float64)
    for column in weighted:
        of_row = snapshot.read([column.name])[column.name].cast(pl.Float64).fill_null(1.0).to_numpy()
        weights = weights * of_row[rows]
    return weights
