"""Write what a table stores anew without some rows: snapshots, label sets, encoders' samples, heads' judged rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from app.errors import ResourceConflict
from app.jobs.contract import Task
from app.jobs.erasure_ground import KeyMatcher
from app.jobs.snapshot_results import SNAPSHOT_FILES
from app.services.label_facts import label_facts
from app.services.label_files import empty_labels, read_labels, write_labels
from app.services.target_labels import column_facts, label_column
from models.errors import InputError, Interrupted, LabelError
from models.evaluation.judged import JudgedRows, Part
from models.features.erasing import write_without
from models.features.schema import KEY_COLUMN, SPLIT_COLUMN, Role, SplitRule, TableSchema
from models.features.schema import Task as LabelTask
from models.features.snapshot import PROFILE_FILE, ROWS_FILE, SCHEMA_FILE
from models.features.snapshot import Snapshot as StoredRows
from models.features.splits import TRAIN
from models.heads.files import unpack
from models.training.reference_rows import replace_reference_rows
from storage.artifacts.manifest import bundle_path, load_bundle, put_bundle
from storage.orm import Encoder, Head, LabelSet, Snapshot, Target
from storage.orm.base import JsonObject

IndexArray = npt.NDArray[np.int64]
_PARTS: tuple[Part, ...] = ("holdout", "out_of_fold")


@dataclass(frozen=True, eq=False)
class ErasedRows:
    """What became of one snapshot: its rows before, the positions that go, and where what is left lies.

    `train_keys` are the keys of those that went from the train part.
    """

    before: StoredRows
    schema: TableSchema
    removed: IndexArray
    keys: tuple[str, ...]
    train_keys: frozenset[str]
    digest: str
    artifacts: list[tuple[str, int]] = field(default_factory=list)
    num_rows: int = 0

    @property
    def is_changed(self) -> bool:
        return len(self.removed) > 0


def erase_from_snapshot(
    task: Task, snapshot: Snapshot, matcher: KeyMatcher, rule: SplitRule | None
) -> ErasedRows:
    """Raises: InputError erasure_needs_key, no_rows_left."""
    digest = snapshot.manifest_digest
    rows = StoredRows(bundle_path(task.store, task.workspace_id, digest, ROWS_FILE))
    schema = TableSchema.model_validate_json(
        bundle_path(task.store, task.workspace_id, digest, SCHEMA_FILE).read_bytes()
    )
    sides = rows.read([KEY_COLUMN, SPLIT_COLUMN], with_row_ids=False)
    keys = sides[KEY_COLUMN]
    removed = matcher.find(keys)
    if not len(removed):
        return ErasedRows(rows, schema, removed, (), frozenset(), digest)
    if not schema.with_role(Role.KEY):
        raise InputError(
            f"Snapshot {snapshot.version} has no key column: its rows cannot be told by key. Delete that snapshot.",
            code="erasure_needs_key",
        )
    if len(removed) == len(keys):
        raise InputError(
            f"Nothing would be left of snapshot {snapshot.version}. Delete the snapshot, or the table if it is current.",
            code="no_rows_left",
        )
    profile = json.loads(bundle_path(task.store, task.workspace_id, digest, PROFILE_FILE).read_bytes())
    out = task.workdir / f"snapshot-{snapshot.version}"
    num_rows = write_without(rows, schema, profile, _rule(profile, rule), removed, out)
    stored = put_bundle(
        task.store, task.workspace_id, {name: out / name for name in SNAPSHOT_FILES}, kind="snapshot"
    )
    gone = sides[removed]
    trained = gone.filter(pl.col(SPLIT_COLUMN) == TRAIN)[KEY_COLUMN].to_list()
    return ErasedRows(
        rows,
        schema,
        removed,
        tuple(gone[KEY_COLUMN].to_list()),
        frozenset(trained),
        stored.digest,
        stored.digests,
        num_rows,
    )


def _rule(profile: JsonObject, rule: SplitRule | None) -> SplitRule:
    """The rule that the snapshot's profile reports, which a later one of the table may differ from."""
    said = profile.get("split") or {}
    fields = {name: said[name] for name in ("by", "cutoff", "evaluation_fraction") if name in said}
    base = rule or SplitRule(by="key", evaluation_fraction=0.1)
    return SplitRule.model_validate({**base.model_dump(), **fields})


@dataclass(frozen=True)
class ErasedLabelFile:
    """The labels by key that stay; `keys` are those of labels that went."""

    labels: pl.DataFrame
    keys: tuple[str, ...]
    digest: str
    num_bytes: int


def erase_from_labels(task: Task, label_set: LabelSet, matcher: KeyMatcher) -> ErasedLabelFile | None:
    """None where the label set has no label of such a key."""
    if label_set.digest is None:
        return None
    labels = read_labels(task.store.local_path(task.workspace_id, label_set.digest))
    removed = matcher.find(labels["key"])
    if not len(removed):
        return None
    keys = tuple(labels["key"].gather(removed).to_list())
    stays = np.ones(labels.height, dtype=bool)
    stays[removed] = False
    left = labels.filter(pl.Series(stays))
    path = task.workdir / f"{label_set.id}.parquet"
    write_labels(left, path)
    num_bytes = path.stat().st_size
    return ErasedLabelFile(left, keys, task.store.put_file(task.workspace_id, path), num_bytes)


def counts_after(
    target: Target,
    label_set: LabelSet,
    left: pl.DataFrame | None,
    rows: StoredRows,
    schema: TableSchema,
    version: int,
) -> JsonObject:
    """`num_labels` and `counts` on the rows that are left; as they were where the labels do not fit any more."""
    try:
        if left is not None:
            facts = label_facts(target, rows, schema, version, left, empty_labels())
        else:
            task = None if target.task is None else LabelTask(target.task)
            column = label_column(target, schema)
            facts = column_facts(
                rows, schema, column, task, target.positive, None, known=target.classes or ()
            )
    except (LabelError, ResourceConflict):
        return {"num_labels": label_set.num_labels, "counts": label_set.counts}
    return {"num_labels": facts.num_labels, "counts": facts.counts}


def erase_from_encoder(
    task: Task, encoder: Encoder, erased: ErasedRows
) -> tuple[JsonObject | None, int, bool]:
    """The swap of its files, how many rows of its sample were replaced, and whether it was trained with one."""
    assert encoder.manifest_digest is not None
    frame = erased.before.read()
    is_gone = np.zeros(frame.height, dtype=bool)
    is_gone[erased.removed] = True
    gone, left = frame.filter(pl.Series(is_gone)), frame.filter(pl.Series(~is_gone))
    gone = gone.filter(pl.col(SPLIT_COLUMN) == TRAIN)
    if not gone.height:
        return None, 0, False
    trained = left.filter(pl.col(SPLIT_COLUMN) == TRAIN)
    files = load_bundle(task.store, task.workspace_id, encoder.manifest_digest)
    replaced, num_rows = replace_reference_rows(files, gone, trained if trained.height else left)
    if not num_rows:
        return None, 0, True
    return _stored(task, "encoder", encoder.id, replaced), num_rows, True


def erase_from_head(
    task: Task, head: Head, identities: npt.NDArray[np.uint64], erased: ErasedRows | None
) -> tuple[JsonObject | None, int]:
    """The swap of its files, and how many judged rows went. Positions of the others follow their snapshot."""
    assert head.manifest_digest is not None
    files = load_bundle(task.store, task.workspace_id, head.manifest_digest)
    removed = erased.removed if erased is not None and erased.is_changed else None
    changed = dict(files)
    num_rows = 0
    for part in _PARTS:
        name = f"judged_{part}.safetensors"
        if name not in files:
            continue
        before = JudgedRows.from_bytes(files[name], unpack(files).task, part)
        after = before.without(identities, removed)
        num_rows += len(before) - len(after)
        if len(after):
            changed[name] = after.to_bytes()
        else:
            del changed[name]
    if changed == files:
        return None, 0
    return _stored(task, "head", head.id, changed), num_rows


def stop_if_asked(task: Task) -> None:
    """Raises: Interrupted."""
    if task.should_stop():
        raise Interrupted("Stopped before all was written; nothing was erased.")


def _stored(task: Task, kind: str, owner_id: str, files: dict[str, bytes]) -> JsonObject:
    bundle = put_bundle(task.store, task.workspace_id, files, kind=kind)
    values = {"manifest_digest": bundle.digest, "num_bytes": sum(size for _, size in bundle.digests)}
    return {"kind": kind, "id": owner_id, "values": values, "artifacts": bundle.digests}
