"""Stored answers to POSTs that carried an `Idempotency-Key`, written in the transaction that made the thing."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, delete

from storage.errors import Conflict
from storage.orm import Idempotency
from storage.orm.base import JsonObject
from storage.repositories.base import Repository


class IdempotencyRepository(Repository):
    def get(self, workspace_id: str, key: str) -> Idempotency | None:
        return self._session.get(Idempotency, (workspace_id, key))

    def put(
        self,
        workspace_id: str,
        key: str,
        route: str,
        request_sha256: str,
        status_code: int,
        headers: JsonObject,
        body: JsonObject,
    ) -> Idempotency:
        """Raises Conflict (idempotency_key_in_use) when a request with the same key got there first."""
        values = {
            "workspace_id": workspace_id,
            "key": key,
            "route": route,
            "request_sha256": request_sha256,
            "status_code": status_code,
            "headers": headers,
            "body": body,
            "created_at": self._now(),
        }
        row = self._insert_unless_taken(Idempotency, values)
        if row is None:
            raise Conflict(
                "A request with the same Idempotency-Key was answered meanwhile; send it again.",
                code="idempotency_key_in_use",
            )
        return row

    def purge(self, older_than_s: float) -> int:
        """Forget answers older than that many seconds; returns how many."""
        statement = delete(Idempotency).where(Idempotency.created_at < self._now() - older_than_s)
        return cast("CursorResult[Any]", self._session.execute(statement)).rowcount
