"""Versions of a target's labels: listed, compared, undone, downloaded, deleted. History is never rewritten."""

from __future__ import annotations

import polars as pl

from app.errors import ResourceConflict
from app.schemas.labels import (
    ClassChange,
    LabelChange,
    LabelSetBody,
    LabelSetComparison,
    LabelSetDeleted,
    LabelSetList,
)
from app.schemas.principal import Principal
from app.services.answers import Answer, RepeatableRequest
from app.services.artifacts import remove_unreferenced
from app.services.label_export import ExportFormat, exported
from app.services.label_files import LABEL_FILE_SCHEMA, decode_values, empty_labels, encode_value
from app.services.label_merge import Difference, compare
from app.services.label_publishing import Draft, LabelGround, LabelPublisher
from app.services.lookup import target_of
from models.features.schema import KEY_COLUMN, Task
from models.features.snapshot import Snapshot
from storage.artifacts import ArtifactStore
from storage.engine import Database
from storage.orm import LabelSet, Target
from storage.orm import Snapshot as SnapshotRow
from storage.repositories.pagination import decode_cursor, encode_cursor
from storage.unit_of_work import UnitOfWork


class LabelSetService:
    def __init__(self, database: Database, store: ArtifactStore, publisher: LabelPublisher) -> None:
        self._database = database
        self._store = store
        self._publisher = publisher

    def list(
        self, principal: Principal, table: str, target: str, limit: int, cursor: str | None
    ) -> LabelSetList:
        """Newest first. Raises: NotFound, InvalidCursor."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            page = uow.label_sets.page(row.id, limit, cursor)
            heads = _heads_by_label_set(uow, row)
            found = [_body(row, label_set, heads) for label_set in page.items]
        return LabelSetList(label_sets=found, next_cursor=page.next_cursor)

    def get(self, principal: Principal, table: str, target: str, version: int) -> LabelSetBody:
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            return _body(row, uow.label_sets.by_version(row.id, version), _heads_by_label_set(uow, row))

    def compare(
        self,
        principal: Principal,
        table: str,
        target: str,
        version: int,
        other: int | None,
        limit: int,
        cursor: str | None,
    ) -> LabelSetComparison:
        """What is different in `version` from `other` (by default the one before it; no labels before the first);
        changed labels page by page.

        Raises: NotFound `label_set_not_found`; InvalidCursor.
        """
        if other is None:
            other = self._version_before(principal, table, target, version)
        listing = f"compare:{table}:{target}:{version}:{other}"
        start = 0 if cursor is None else int(decode_cursor(listing, cursor)[0])
        row, labels = self._labels(principal, table, target, version)
        before = self._labels(principal, table, target, other)[1] if other else empty_labels()
        found = compare(labels, before)
        page = found.changes.slice(max(start, 0), limit)
        is_last = start + limit >= len(found.changes)
        return LabelSetComparison(
            label_set=version,
            with_label_set=other,
            added=found.added,
            withdrawn=found.withdrawn,
            changed=found.changed,
            details_changed=found.details_changed,
            unchanged=found.unchanged,
            per_class=None if row.task == Task.REGRESSION else _per_class(found),
            labels=[
                LabelChange(key=key, before=_decoded(value_before), after=_decoded(value_after))
                for key, value_before, value_after in page.iter_rows()
            ],
            next_cursor=None if is_last else encode_cursor(listing, float(start + limit), "-"),
        )

    def restore(
        self,
        principal: Principal,
        table: str,
        target: str,
        version: int,
        request: RepeatableRequest | None,
    ) -> Answer:
        """Publish a new version with the labels of `version`; none where they are those of the latest already.

        Raises: NotFound `label_set_not_found`; ResourceConflict `labels_from_column`; LabelError where the target has
            settled on a task or classes that those labels do not fit.
        """

        def draft_of(ground: LabelGround, snapshot: Snapshot) -> Draft:
            with self._database.reading() as uow:
                wanted = uow.label_sets.by_version(ground.target.id, version)
            labels = self._publisher.labels_of(principal.workspace_id, wanted)
            before = self._publisher.labels_of(principal.workspace_id, ground.latest)
            difference = compare(labels, before)
            is_known = snapshot.key_index.rows_of(labels["key"].to_list()) >= 0
            return Draft(
                labels=labels,
                added=empty_labels(),
                accepted=difference.added + difference.changed,
                replaced=difference.changed,
                withdrawn=difference.withdrawn,
                unmatched=int((~is_known).sum()),
                action="undo",
                restored_version=version,
            )

        return self._publisher.publish(principal, table, target, request, draft_of)

    def export(
        self, principal: Principal, table: str, target: str, version: int, file_format: ExportFormat
    ) -> bytes:
        """All labels of a version as a file: key, value, at, weight."""
        _, labels = self._labels(principal, table, target, version)
        return exported(labels, file_format)

    def delete(self, principal: Principal, table: str, target: str, version: int) -> LabelSetDeleted:
        """Raises: Conflict `label_set_in_use` while a head is pinned to it, or it is the latest."""
        with self._database.writing() as uow:
            _, row = target_of(uow, principal, table, target)
            label_set = uow.label_sets.by_version(row.id, version)
            released = uow.label_sets.delete(label_set)
            uow.audit.add(
                principal.workspace_id,
                principal.key_id,
                "label_set.delete",
                label_set.id,
                {"target": row.name, "version": version},
            )
        num_removed = remove_unreferenced(self._database, self._store, principal.workspace_id, released)
        return LabelSetDeleted(
            target=row.name, version=version, labels=label_set.num_labels, artifacts=num_removed
        )

    def _version_before(self, principal: Principal, table: str, target: str, version: int) -> int:
        """0 where there is none."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            uow.label_sets.by_version(row.id, version)
            earlier = [one.version for one in uow.label_sets.list(row.id) if one.version < version]
        return max(earlier, default=0)

    def _labels(
        self, principal: Principal, table: str, target: str, version: int
    ) -> tuple[Target, pl.DataFrame]:
        """All labels of a version as in a label file, also those that are a column's values."""
        with self._database.reading() as uow:
            _, row = target_of(uow, principal, table, target)
            label_set = uow.label_sets.by_version(row.id, version)
            snapshot = None if label_set.snapshot_id is None else uow.tables.snapshot(label_set.snapshot_id)
        if snapshot is None or row.column_name is None:
            return row, self._publisher.labels_of(principal.workspace_id, label_set)
        return row, self._column_labels(principal, snapshot, row.column_name)

    def _column_labels(self, principal: Principal, row: SnapshotRow, column: str) -> pl.DataFrame:
        snapshot = self._publisher.snapshot(principal.workspace_id, row)
        if column not in snapshot.columns:
            raise ResourceConflict(
                f"The snapshot of these labels has no column {column!r}.", code="label_column_lost"
            )
        frame = snapshot.read([KEY_COLUMN, column], with_row_ids=False).drop_nulls(column)
        values = frame[column]
        different = values.unique()
        pairs = pl.DataFrame(
            {"label": different, "value": [encode_value(value) for value in different.to_list()]},
            schema_overrides={"value": pl.String},
        )
        texts = values.to_frame("label").join(pairs, on="label", how="left", maintain_order="left")["value"]
        missing = pl.lit(None, dtype=pl.Float64)
        return (
            frame.select(pl.col(KEY_COLUMN).alias("key"))
            .with_columns(texts, missing.alias("at"), missing.alias("weight"))
            .select(LABEL_FILE_SCHEMA.names())
        )


def _heads_by_label_set(uow: UnitOfWork, target: Target) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for head in reversed(uow.heads.list(target.id)):
        found.setdefault(head.label_set_id, []).append(head.version)
    return found


def _body(target: Target, label_set: LabelSet, heads: dict[str, list[int]]) -> LabelSetBody:
    return LabelSetBody.model_validate(
        {
            "version": label_set.version,
            "action": label_set.action,
            "restored_version": label_set.restored_version,
            "source": label_set.source,
            "num_labels": label_set.num_labels,
            "counts": label_set.counts,
            "heads": heads.get(label_set.id, []),
            "is_latest": label_set.version == target.last_label_set_version,
            "created_at": label_set.created_at,
        }
    )


def _decoded(text: str | None) -> str | int | float | bool | None:
    return None if text is None else decode_values([text])[0]


def _per_class(found: Difference) -> list[ClassChange]:
    """Counts per class value, in the order of their JSON text."""
    counts: dict[str, dict[str, int]] = {}
    fields = ("added", "withdrawn", "changed_to", "changed_from")
    grouped = found.changes.group_by("value_other", "value").len()
    for before, after, count in grouped.iter_rows():
        places = [(after, "added" if before is None else "changed_to")] if after is not None else []
        if before is not None:
            places.append((before, "withdrawn" if after is None else "changed_from"))
        for text, name in places:
            counts.setdefault(text, dict.fromkeys(fields, 0))[name] += count
    return [ClassChange(value=decode_values([text])[0], **counts[text]) for text in sorted(counts)]
