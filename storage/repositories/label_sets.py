"""Immutable label set versions of a target."""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import select

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import LabelSet, Snapshot, Target
from storage.orm.base import JsonObject
from storage.repositories.base import Repository


class LabelSetRepository(Repository):
    def add(
        self,
        target: Target,
        source: str,
        snapshot_id: str | None,
        digest: str | None,
        num_labels: int,
        counts: JsonObject,
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
        )
        self._session.add(label_set)
        self._session.flush()
        return label_set

    def latest(self, target_id: str) -> LabelSet | None:
        query = select(LabelSet).where(LabelSet.target_id == target_id)
        return self._session.scalars(query.order_by(LabelSet.version.desc()).limit(1)).one_or_none()

    def get(self, label_set_id: str) -> LabelSet | None:
        return self._session.get(LabelSet, label_set_id)

    def list(self, target_id: str) -> builtins.list[LabelSet]:
        """All versions, newest first."""
        query = select(LabelSet).where(LabelSet.target_id == target_id)
        return builtins.list(self._session.scalars(query.order_by(LabelSet.version.desc())))
