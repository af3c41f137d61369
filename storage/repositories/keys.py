"""API keys; of a secret only its SHA-256 is ever stored."""

from __future__ import annotations

import builtins  # `list` is a method's name here
from collections.abc import Collection

from sqlalchemy import select

from storage.errors import Conflict
from storage.orm import ApiKey
from storage.repositories.base import Repository


class KeyRepository(Repository):
    def add(
        self,
        workspace_id: str,
        name: str,
        secret_sha256: bytes,
        scopes: Collection[str],
        expires_at: float | None,
        *,
        public_id: str,
    ) -> ApiKey:
        """Raises Conflict (key_exists) when `public_id` is in use or the workspace is gone."""
        values = {
            "id": public_id,
            "workspace_id": workspace_id,
            "name": name,
            "secret_sha256": secret_sha256,
            "scopes": sorted(scopes),
            "created_at": self._now(),
            "expires_at": expires_at,
            "revoked_at": None,
        }
        key = self._insert_unless_taken(ApiKey, values)
        if key is None:
            raise Conflict("This key could not be added; make a new one.", code="key_exists")
        self._catalog_changed()
        return key

    def get(self, public_id: str) -> ApiKey | None:
        """The key, whether live, expired or revoked."""
        return self._session.get(ApiKey, public_id)

    def list(self, workspace_id: str) -> builtins.list[ApiKey]:
        """All keys of the workspace, oldest first, revoked ones included."""
        query = select(ApiKey).where(ApiKey.workspace_id == workspace_id)
        return builtins.list(self._session.scalars(query.order_by(ApiKey.created_at, ApiKey.id)))

    def revoke(self, workspace_id: str, key_id: str) -> ApiKey:
        """Revoke now; a key that is revoked already keeps its time. Raises NotFound (key_not_found)."""
        key = self._lock(ApiKey, key_id)
        if key is None or key.workspace_id != workspace_id:
            raise self._not_found("key", key_id)
        if key.revoked_at is None:
            key.revoked_at = self._now()
            self._session.flush()
            self._catalog_changed()
        return key
