"""Workspaces: the tenants everything else belongs to."""

from __future__ import annotations

import builtins  # `list` is a method's name here

from sqlalchemy import select

from storage.ids import new_id
from storage.orm import Workspace
from storage.repositories.base import Repository


class WorkspaceRepository(Repository):
    def get_or_create(self, name: str) -> Workspace:
        """The workspace of that name; safe when several processes create it at once."""
        found = self._find(name)
        if found is not None:
            return found
        values = {"id": new_id("ws"), "name": name, "created_at": self._now()}
        made = self._insert_unless_taken(Workspace, values)
        if made is None:  # another process was faster
            return self.get_by_name(name)
        self._catalog_changed()
        return made

    def lock(self, workspace_id: str) -> None:
        """Until the end of this writing unit of work others who `lock` the workspace wait."""
        self._lock(Workspace, workspace_id)

    def get(self, workspace_id: str) -> Workspace | None:
        return self._session.get(Workspace, workspace_id)

    def get_by_name(self, name: str) -> Workspace:
        """Raises NotFound (workspace_not_found)."""
        found = self._find(name)
        if found is None:
            raise self._not_found("workspace", name)
        return found

    def list(self) -> builtins.list[Workspace]:
        """All workspaces, by name."""
        return builtins.list(self._session.scalars(select(Workspace).order_by(Workspace.name)))

    def _find(self, name: str) -> Workspace | None:
        return self._session.scalars(select(Workspace).where(Workspace.name == name)).one_or_none()
