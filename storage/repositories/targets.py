"""Targets of a table."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, union_all

from storage.errors import Conflict
from storage.ids import new_id
from storage.orm import Head, LabelSet, Table, Target
from storage.orm.base import JsonObject
from storage.repositories.base import Repository


class TargetRepository(Repository):
    def add(
        self,
        table: Table,
        name: str,
        task: str | None,
        column_name: str | None,
        positive: Any | None,
        classes: Sequence[Any] | None,
        forbidden_columns: Sequence[str],
        decision: JsonObject | None = None,
    ) -> Target:
        """Raises Conflict (name_taken), NotFound (table_not_found)."""
        self._lock_or_raise(Table, table.id)
        values = {
            "id": new_id("tgt"),
            "table_id": table.id,
            "name": name,
            "task": task,
            "column_name": column_name,
            "positive": positive,
            "classes": None if classes is None else builtins.list(classes),
            "forbidden_columns": sorted(forbidden_columns),
            "decision": decision,
            "created_at": self._now(),
        }
        target = self._insert_unless_taken(Target, values)
        if target is None:
            raise Conflict(f"The table has a target named {name!r}; choose another name.", code="name_taken")
        self._catalog_changed()
        return target

    def by_name(self, table_id: str, name: str) -> Target:
        """Raises NotFound (target_not_found)."""
        query = select(Target).where(Target.table_id == table_id, Target.name == name)
        target = self._session.scalars(query).one_or_none()
        if target is None:
            raise self._not_found("target", name)
        return target

    def get(self, target_id: str) -> Target | None:
        return self._session.get(Target, target_id)

    def list(self, table_id: str) -> builtins.list[Target]:
        """All targets of the table, by name."""
        query = select(Target).where(Target.table_id == table_id)
        return builtins.list(self._session.scalars(query.order_by(Target.name)))

    def settle(
        self, target: Target, task: str, classes: Sequence[Any] | None, positive: Any | None
    ) -> Target:
        """Fix the task and classes (from the first labels, or when classes are added)."""
        current = self._lock_or_raise(Target, target.id)
        current.task = task
        current.classes = None if classes is None else builtins.list(classes)
        current.positive = positive
        self._session.flush()
        self._catalog_changed()
        return current

    def set_decision(self, target: Target, decision: JsonObject | None) -> Target:
        """How `label` follows from probabilities; None is the most probable class."""
        current = self._lock_or_raise(Target, target.id)
        current.decision = decision
        self._session.flush()
        self._catalog_changed()
        return current

    def delete(self, target: Target) -> builtins.list[str]:
        """Delete the target with its label sets, heads and aliases.

        Nothing happens if it is gone already. Returns the digests that nothing refers to any more.
        """
        current = self._lock(Target, target.id)
        if current is None:
            return []
        owners = union_all(
            select(LabelSet.id).where(LabelSet.target_id == current.id),
            select(Head.id).where(Head.target_id == current.id),
        )
        released = self._release_artifacts(select(owners.subquery().c.id))
        self._session.delete(current)
        self._session.flush()
        self._catalog_changed()
        return released
