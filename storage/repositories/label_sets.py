"""Immutable label set versions of a target."""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import select

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Head, LabelSet, Snapshot, Target
from storage.orm.base import JsonObject
from storage.repositories.base import MAX_VERSION, Repository
from storage.repositories.pagination import Page, fetch_page


class LabelSetRepository(Repository):
    def add(
        self,
        target: Target,
        source: str,
        snapshot_id: str | None,
        digest: str | None,
        num_labels: int,
        counts: JsonObject,
        action: str = "labels",
        restored_version: int | None = None,
    ) -> LabelSet:
        """The target's next label set version. Raises NotFound (target_not_found), Conflict (snapshot_missing)."""
        current = self._lock_or_raise(Target, target.id)
        if snapshot_id is not None and self._session.get(Snapshot, snapshot_id) is None:
            raise Conflict("The snapshot of these labels does not exist.", code="snapshot_missing")
        current.last_label_set_version += 1
        label_set = LabelSet(
            id=new_id("lbl"),
            target_id=current.id,
            version=current.last_label_set_version,
            source=source,
            snapshot_id=snapshot_id,
            digest=digest,
            num_labels=num_labels,
            counts=counts,
            created_at=self._now(),
            action=action,
            restored_version=restored_version,
        )
        self._session.add(label_set)
        self._session.flush()
        return label_set

    def by_version(self, target_id: str, version: int) -> LabelSet:
        """Raises NotFound (label_set_not_found)."""
        found: LabelSet | None = None
        if 0 < version <= MAX_VERSION:
            query = select(LabelSet).where(LabelSet.target_id == target_id, LabelSet.version == version)
            found = self._session.scalars(query).one_or_none()
        if found is None:
            raise self._not_found("label set", version)
        return found

    def recount(self, label_set: LabelSet, num_labels: int, counts: JsonObject) -> LabelSet | None:
        """The same labels counted on another snapshot; None if the label set is gone."""
        current = self._lock(LabelSet, label_set.id)
        if current is not None:
            current.num_labels, current.counts = num_labels, counts
            self._session.flush()
        return current

    def delete(self, label_set: LabelSet) -> builtins.list[str]:
        """Delete a version that nothing stands on; its number is not used again.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.

        Raises Conflict (label_set_in_use): the latest version, or one that a head is pinned to.
        """
        target = self._lock(Target, label_set.target_id)  # new versions and heads lock it too
        current = self._lock(LabelSet, label_set.id)
        if target is None or current is None:
            return []
        if current.version == target.last_label_set_version:
            raise Conflict(
                f"Label set {current.version} is the latest of its target; restore another one first, or delete the "
                "target.",
                code="label_set_in_use",
            )
        query = select(Head.version).where(Head.label_set_id == current.id).order_by(Head.version)
        heads = self._session.scalars(query).all()
        if heads:
            raise Conflict(
                f"Label set {current.version} is what {len(heads)} heads were fitted on, the first of them version "
                f"{heads[0]}; delete those heads first.",
                code="label_set_in_use",
            )
        released = self._release_artifacts([current.id])
        self._session.delete(current)
        self._session.flush()
        return released

    def latest(self, target_id: str) -> LabelSet | None:
        query = select(LabelSet).where(LabelSet.target_id == target_id)
        return self._session.scalars(query.order_by(LabelSet.version.desc()).limit(1)).one_or_none()

    def get(self, label_set_id: str) -> LabelSet | None:
        return self._session.get(LabelSet, label_set_id)

    def list(self, target_id: str) -> builtins.list[LabelSet]:
        """All versions, newest first."""
        query = select(LabelSet).where(LabelSet.target_id == target_id)
        return builtins.list(self._session.scalars(query.order_by(LabelSet.version.desc())))

    def page(self, target_id: str, limit: int, cursor: str | None) -> Page[LabelSet]:
        """One page of the versions, newest first. Raises InvalidCursor."""
        query = select(LabelSet).where(LabelSet.target_id == target_id)
        return fetch_page(
            self._session,
            query,
            listing="label_sets",
            at=LabelSet.created_at,
            row_id=LabelSet.id,
            limit=limit,
            cursor=cursor,
        )
