"""The audit trail: who did what to what, without contents."""

from __future__ import annotations

from sqlalchemy import select

from storage.ids import new_id
from storage.orm import Audit
from storage.orm.base import JsonObject
from storage.repositories.base import Repository
from storage.repositories.pagination import Page, fetch_page


class AuditRepository(Repository):
    def add(
        self,
        workspace_id: str,
        key_id: str | None,
        action: str,
        subject: str,
        details: JsonObject | None = None,
    ) -> Audit:
        entry = Audit(
            id=new_id("aud"),
            workspace_id=workspace_id,
            key_id=key_id,
            action=action,
            subject=subject,
            at=self._now(),
            details=details or {},
        )
        self._session.add(entry)
        self._session.flush()
        return entry

    def list(self, workspace_id: str, limit: int = 50, cursor: str | None = None) -> Page[Audit]:
        """Newest first. Raises InvalidCursor."""
        query = select(Audit).where(Audit.workspace_id == workspace_id)
        return fetch_page(
            self._session, query, listing="audit", at=Audit.at, row_id=Audit.id, limit=limit, cursor=cursor
        )
