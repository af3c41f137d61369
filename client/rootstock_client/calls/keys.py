"""API keys of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rootstock_client.calls.base import Calls, without_none
from rootstock_client.transport import JsonObject, json_object


class KeyCalls(Calls):
    def keys(self) -> list[JsonObject]:
        """All keys by their public part: name, scopes, expiry, revocation."""
        return self._list("keys", items="keys")

    def create_key(
        self, name: str, scopes: Sequence[str], *, expires_at: datetime | timedelta | None = None
    ) -> JsonObject:
        """Make a key; the answer's `key` is shown this once and kept nowhere.

        Args:
            scopes: of `tables:read tables:write finetune predict promote admin`.
            expires_at: a time with a zone, or how long from now; by default never.
        """
        end = datetime.now(UTC) + expires_at if isinstance(expires_at, timedelta) else expires_at
        body = without_none({"name": name, "scopes": list(scopes), "expires_at": end and end.isoformat()})
        # Under no Idempotency-Key: the answer to a repeated request would not hold the secret.
        return json_object(self._transport.call("POST", "keys", body=body))

    def revoke_key(self, key_id: str) -> None:
        """Holds within a second."""
        self._transport.call("DELETE", "keys", key_id)
