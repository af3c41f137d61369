"""What the labels of a target say before anything is fitted: task, classes, counts, warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from app.errors import InvalidRequest, ResourceConflict
from app.services.views import absent_columns
from models.errors import LabelError
from models.evaluation.leaks import find_leaks
from models.features.labels import encode_labels, infer_task
from models.features.schema import SPLIT_COLUMN, ColumnSchema, JsonScalar, Role, TableSchema, Task
from models.features.snapshot import Snapshot
from storage.orm import LabelSet, Target
from storage.orm import Snapshot as SnapshotRow
from storage.orm.base import JsonObject
from storage.unit_of_work import UnitOfWork

LABEL_ROLES = (Role.FEATURE, Role.TARGET)
FEW_LABELS = 50
MIN_HOLDOUT_LABELS = 200
MIN_HOLDOUT_PER_CLASS = 20
RARE_SHARE = 0.01
_TYPE_WORDS = {str: "text", bool: "boolean", int: "number", float: "number"}
MAX_LEAK_CELLS = 5_000_000
"""Leaks are looked for at once only in tables this small; fine-tuning looks again in any case."""


@dataclass(frozen=True)
class LabelFacts:
    """`counts`: train, evaluation, unmatched, distinct_train; for classes also per_class and train_per_class,
    aligned to `classes`."""

    task: Task | None
    classes: tuple[JsonScalar, ...] | None
    counts: JsonObject
    warnings: list[str]

    @property
    def num_labels(self) -> int:
        """Labels that have a row."""
        return int(self.counts["train"] + self.counts["evaluation"])


def count_labels(
    values: Sequence[JsonScalar],
    is_evaluation: np.ndarray,
    num_unmatched: int,
    task: Task | None,
    classes: Sequence[JsonScalar] | None,
) -> JsonObject:
    """Counts of labels [n] on rows whose part is `is_evaluation` bool [n]."""
    counts: JsonObject = {
        "train": int((~is_evaluation).sum()),
        "evaluation": int(is_evaluation.sum()),
        "unmatched": num_unmatched,
    }
    if task is None or (task is not Task.REGRESSION and classes is None):  # one value so far
        counts["distinct_train"] = min(1, counts["train"])
        return counts
    encoded = encode_labels(values, task, classes)
    counts["distinct_train"] = len(np.unique(encoded[~is_evaluation]))
    if classes is not None:
        counts["per_class"] = np.bincount(encoded, minlength=len(classes)).tolist()
        counts["train_per_class"] = np.bincount(encoded[~is_evaluation], minlength=len(classes)).tolist()
    return counts


def column_facts(
    snapshot: Snapshot,
    schema: TableSchema,
    column: ColumnSchema,
    task: Task | None,
    positive: JsonScalar | None,
    absent: Sequence[str] | None,
    known: Sequence[JsonScalar] = (),
) -> LabelFacts:
    """Labels that are the values of a column; `absent`: the view, whose columns cannot leak (None: do not look);
    `known`: classes that stay.

    Raises: LabelError all_null, one_class, too_many_classes, task_mismatch, unknown_positive …
    """
    frame = snapshot.read([column.name])
    labelled = frame.filter(pl.col(column.name).is_not_null())
    inferred = infer_task(
        labelled[column.name], column.storage_type, task=task, positive=positive, known=known
    )
    is_evaluation = (labelled[SPLIT_COLUMN] == "evaluation").to_numpy()
    counts = count_labels(labelled[column.name].to_list(), is_evaluation, 0, inferred.task, inferred.classes)
    leaks: list[str] = []
    features = [feature.name for feature in schema.encoded if feature.name not in (absent or ())]
    if absent is not None and snapshot.num_rows * len(features) <= MAX_LEAK_CELLS:
        rows = snapshot.read(features, with_row_ids=False).filter(frame[column.name].is_not_null())
        encoded = encode_labels(labelled[column.name], inferred.task, inferred.classes)
        leaks = find_leaks(rows, features, encoded.astype(np.float64), inferred.task)
    warnings = [*inferred.warnings, *count_warnings(counts, inferred.task), *leaks]
    return LabelFacts(inferred.task, inferred.classes, counts, warnings)


def settle_task(
    target: Target, values: Sequence[JsonScalar], added: Sequence[JsonScalar]
) -> tuple[Task | None, tuple[JsonScalar, ...] | None, list[str]]:
    """Task and classes of a target of labels by key, after `added` have joined `values` (which contains them).

    Both are settled by the first labels that differ. After that the task never changes and no class is lost, whatever
    is withdrawn; a multiclass target gains classes, a binary one refuses a third.

    Raises: LabelError mixed_types, unknown_class, task_mismatch, unknown_positive, too_many_classes …
    """
    stated = None if target.task is None else Task(target.task)
    if stated is Task.REGRESSION:
        encode_labels(added, stated, None)
        return stated, None, []
    if target.classes is not None and stated is Task.BINARY:
        encode_labels(added, stated, target.classes)
        return stated, tuple(target.classes), []
    if target.classes is None and len(set(values)) < 2:  # of one type: 1 and 1.0 are one value
        if stated is None and any(isinstance(value, float) and not value.is_integer() for value in added):
            return Task.REGRESSION, None, []
        return stated, None, []
    inferred = infer_task(values, task=stated, positive=target.positive, known=target.classes or ())
    return inferred.task, inferred.classes, list(inferred.warnings)


def count_warnings(counts: JsonObject, task: Task | None) -> list[str]:
    """What the numbers alone say about how well a head can be fitted and judged."""
    warnings = []
    train, evaluation = counts["train"], counts["evaluation"]
    if train < FEW_LABELS:
        warnings.append(
            f"Only {train} {'label is' if train == 1 else 'labels are'} on training rows; below {FEW_LABELS} metrics have wide intervals."
        )
    per_class = counts.get("train_per_class")
    if per_class and task is not Task.REGRESSION and train:
        rarest = min(per_class)
        if rarest < RARE_SHARE * train or rarest < MIN_HOLDOUT_PER_CLASS:
            warnings.append(
                f"The rarest class has {rarest} of {train} training labels; more of it would help most."
            )
    if evaluation < MIN_HOLDOUT_LABELS:
        warnings.append(
            f"{evaluation} {'label is' if evaluation == 1 else 'labels are'} on evaluation rows; hold-out metrics need {MIN_HOLDOUT_LABELS}, so out-of-fold "
            "metrics lead."
        )
    return warnings


def label_column(target: Target, schema: TableSchema) -> ColumnSchema:
    """The column whose values are the labels of `target`.

    Raises: ResourceConflict `label_column_lost`, `column_is_no_target`, when the table has changed since.
    """
    name = str(target.column_name)
    if name not in schema:
        raise ResourceConflict(
            f"The column {name!r} of the target {target.name!r} is not in the table any more; delete the target, or add "
            "a snapshot that has the column.",
            code="label_column_lost",
        )
    column = schema[name]
    if column.role not in LABEL_ROLES:
        raise ResourceConflict(
            f"The column {name!r} of the target {target.name!r} has the role {column.role} now; a target is a column "
            "with the role target or feature. Change the role back, or make another target.",
            code="column_is_no_target",
            details={"column": name},
        )
    return column


def check_fittable(
    uow: UnitOfWork, target: Target, snapshot: SnapshotRow, schema: TableSchema | None = None
) -> LabelSet:
    """The label set to fit a head of `target` on, from counts alone; `schema`: the table's, as it is now.

    Raises: InvalidRequest `no_labels`, `one_class`, `labels_of_another_snapshot`; ResourceConflict as `label_column`, and
        `no_column_left`.
    """
    if schema is not None:
        check_columns(target, schema)
    label_set = uow.label_sets.latest(target.id)
    counts = {} if label_set is None else label_set.counts
    if label_set is None or label_set.num_labels == 0 or counts.get("train", 0) == 0:
        parked = counts.get("evaluation", 0)
        raise InvalidRequest(
            f"The target {target.name!r} has no labels on training rows ({parked} on evaluation rows, "
            f"{counts.get('unmatched', 0)} without a row). Send labels first.",
            code="no_labels",
        )
    if counts.get("distinct_train", 2) < 2 or target.task is None:
        raise InvalidRequest(
            f"All {counts['train']} training labels of the target {target.name!r} are equal; at least two different "
            "ones are needed.",
            code="one_class",
        )
    if label_set.snapshot_id is not None and label_set.snapshot_id != snapshot.id:
        raise InvalidRequest(
            f"The labels of {target.name!r} are those of an earlier snapshot: the column's values in the current one are "
            "not of the target's task and classes. Correct them in a new snapshot, or make another target.",
            code="labels_of_another_snapshot",
        )
    return label_set


def check_columns(target: Target, schema: TableSchema) -> None:
    """Roles can change after a target was made.

    Raises: ResourceConflict as `label_column`, and `no_column_left`.
    """
    if target.column_name is not None:
        label_column(target, schema)
    absent = absent_columns(schema, target.column_name, target.forbidden_columns)
    if all(column.name in absent for column in schema.encoded):
        raise ResourceConflict(
            f"None of the table's {len(schema.encoded)} feature columns is left to predict {target.name!r} from; give "
            "columns the role feature again, or make a target with fewer forbidden columns.",
            code="no_column_left",
        )


def refuse_mixed_types(values: Sequence[JsonScalar], classes: Sequence[JsonScalar] | None = None) -> None:
    """`classes`: of the target, where they are settled.

    Raises: LabelError mixed_types, also for labels that are too few to settle a task.
    """
    words = {_TYPE_WORDS[type(value)] for value in values}
    if len(words) > 1:
        advice = (
            "This target's labels are true and false: send true or false (in JSON without quotes)."
            if classes and all(isinstance(one, bool) for one in classes)
            else "Send all as text, all as numbers, or all as true or false."
        )
        raise LabelError(
            f"Labels of one target have one type, received {', '.join(sorted(words))}. {advice}",
            code="mixed_types",
        )
