"""One erasure under way: goes over all that a table stores, and collects what to swap and what to say of it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from app.jobs.contract import Task
from app.jobs.erased_files import (
    ErasedLabelFile,
    ErasedRows,
    counts_after,
    erase_from_encoder,
    erase_from_head,
    erase_from_labels,
    erase_from_snapshot,
    stop_if_asked,
)
from app.jobs.erasure_ground import ErasureGround, KeyMatcher
from app.schemas.erasures import SecretKeys
from models.features.schema import SplitRule, TableSchema
from models.features.snapshot import ROWS_FILE
from models.features.snapshot import Snapshot as StoredRows
from storage.artifacts.manifest import bundle_path
from storage.orm import LabelSet, Snapshot
from storage.orm.base import JsonObject


class Erasing:
    """Call `snapshots`, `label_sets`, `encoders` and `heads` in this order; each stores files that nothing refers to
    yet, and adds to `swaps`, `places` and `trained_with`. `found` are the HMACs of the keys that were there. `schema`
    is the table's as it is now."""

    def __init__(self, task: Task, ground: ErasureGround, keys: SecretKeys, schema: TableSchema) -> None:
        self._task = task
        self._ground = ground
        self._schema = schema
        rule = ground.table.settings.get("split_rule")
        self._rule = None if rule is None else SplitRule.model_validate(rule)
        self._matcher = KeyMatcher(bytes.fromhex(keys.salt), frozenset(map(bytes.fromhex, keys.hmacs)))
        self._rows: dict[str, ErasedRows] = {}  # by the snapshot's id; restored ones share theirs
        self._labels: dict[str, ErasedLabelFile] = {}  # by the label set's id
        self._encoders_trained: set[str] = set()
        self.found: set[str] = set()
        self.swaps: list[JsonObject] = []
        self.places: dict[str, list[JsonObject]] = {
            "snapshots": [],
            "label_sets": [],
            "encoders_reference": [],
            "judged": [],
        }
        self.trained_with: dict[str, list[object]] = {"encoders": [], "heads": []}

    @property
    def has_found(self) -> bool:
        return bool(self.found or self.places["judged"])

    def snapshots(self) -> None:
        """Raises: InputError as `erase_from_snapshot`; Interrupted."""
        by_digest: dict[str, ErasedRows] = {}
        for snapshot in sorted(self._ground.snapshots, key=lambda one: one.version):
            self._begin(f"rewriting snapshot {snapshot.version}")
            digest = snapshot.manifest_digest
            if digest not in by_digest:
                by_digest[digest] = erase_from_snapshot(self._task, snapshot, self._matcher, self._rule)
            erased = self._rows[snapshot.id] = by_digest[digest]
            if erased.is_changed:
                self._note(erased.keys)
                self._swap_snapshot(snapshot, erased)
                self.places["snapshots"].append({"version": snapshot.version, "rows": len(erased.removed)})

    def label_sets(self, current: Snapshot) -> None:
        """Counts of labels by key are those on the `current` snapshot."""
        for label_set in sorted(self._ground.label_sets, key=lambda one: (one.target_id, one.version)):
            self._begin("rewriting labels")
            if label_set.digest is None:
                self._count_column(label_set)
                continue
            found = erase_from_labels(self._task, label_set, self._matcher)
            if found is None:
                continue  # and no row that its labels are counted on went
            self._note(found.keys)
            self._labels[label_set.id] = found
            target = self._ground.target(label_set.target_id)
            rows = self._left(current)
            counts = counts_after(target, label_set, found.labels, rows, self._schema, current.version)
            self._swap(
                "label_set",
                label_set.id,
                {"digest": found.digest, **counts},
                [(found.digest, found.num_bytes)],
            )
            self.places["label_sets"].append(
                {"target": target.name, "version": label_set.version, "labels": len(found.keys)}
            )

    def encoders(self) -> None:
        for encoder in reversed(self._ground.encoders):
            self._begin(f"looking at encoder {encoder.version}")
            erased = self._rows.get(encoder.snapshot_id)
            if erased is None or not erased.is_changed:
                continue
            swap, num_rows, is_trained = erase_from_encoder(self._task, encoder, erased)
            if swap is not None:
                self.swaps.append(swap)
                self.places["encoders_reference"].append({"encoder": encoder.version, "rows": num_rows})
            if is_trained:
                self._encoders_trained.add(encoder.id)
                self.trained_with["encoders"].append(encoder.version)

    def heads(self, identities: npt.NDArray[np.uint64]) -> None:
        for head in reversed(self._ground.heads):
            self._begin("looking at heads")
            target = self._ground.target(head.target_id).name
            snapshot = self._ground.snapshot_of(head)
            erased = None if snapshot is None else self._rows.get(snapshot.id)
            swap, num_rows = erase_from_head(self._task, head, identities, erased)
            if swap is not None:
                self.swaps.append(swap)
            if num_rows:
                self.places["judged"].append({"target": target, "version": head.version, "rows": num_rows})
            if head.encoder_id in self._encoders_trained or self._is_fitted_on(head.label_set_id):
                self.trained_with["heads"].append({"target": target, "version": head.version})

    def _is_fitted_on(self, label_set_id: str) -> bool:
        """Whether the labels had one of a row that trains; labels on evaluation rows are never fitted."""
        trained = frozenset[str]().union(*(rows.train_keys for rows in self._rows.values()))
        if label_set_id in self._labels:
            return bool(trained.intersection(self._labels[label_set_id].keys))
        label_set = next(one for one in self._ground.label_sets if one.id == label_set_id)
        rows = self._rows.get(label_set.snapshot_id or "")
        return rows is not None and bool(rows.train_keys)

    def _count_column(self, label_set: LabelSet) -> None:
        snapshot = next((one for one in self._ground.snapshots if one.id == label_set.snapshot_id), None)
        if snapshot is None or not self._rows[snapshot.id].is_changed:
            return
        target = self._ground.target(label_set.target_id)
        counts = counts_after(target, label_set, None, self._left(snapshot), self._schema, snapshot.version)
        self._swap("label_set", label_set.id, counts, None)

    def _left(self, snapshot: Snapshot) -> StoredRows:
        """The rows of a snapshot after the erasure."""
        erased = self._rows[snapshot.id]
        if not erased.is_changed:
            return erased.before
        path = bundle_path(self._task.store, self._task.workspace_id, erased.digest, ROWS_FILE)
        return StoredRows(path)

    def _swap_snapshot(self, snapshot: Snapshot, erased: ErasedRows) -> None:
        values = {
            "manifest_digest": erased.digest,
            "num_rows": erased.num_rows,
            "num_bytes": sum(size for _, size in erased.artifacts),
        }
        self._swap("snapshot", snapshot.id, values, erased.artifacts)

    def _swap(
        self, kind: str, row_id: str, values: JsonObject, artifacts: Collection[tuple[str, int]] | None
    ) -> None:
        self.swaps.append({"kind": kind, "id": row_id, "values": values, "artifacts": list(artifacts or ())})

    def _note(self, keys: Collection[str]) -> None:
        self.found |= self._matcher.digests(keys)

    def _begin(self, what: str) -> None:
        stop_if_asked(self._task)
        self._task.progress(len(self._rows), len(self._ground.snapshots), what)
