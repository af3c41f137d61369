"""API keys of the workspace."""

from __future__ import annotations

from collections.abc import Sequence

from rootstock_client.calls.base import Calls, without_none
from rootstock_client.transport import JsonObject, json_object


class KeyCalls(Calls):
    def keys(self) -> list[JsonObject]:
        """All keys by their public part: name, scopes, expiry, revocation."""
        return self._list("keys", items="keys")

    def create_key(
        self, name: str, scopes: Sequence[str], *, expires_in_days: float | None = None
    ) -> JsonObject:
        """Make a key; the answer's `key` is shown this once and kept nowhere.

        Args:
            scopes: of `tables:read tables:write finetune predict promote admin`.
        """
        expires_in_s = None if expires_in_days is None else expires_in_days * 86_400
        body = without_none({"name": name, "scopes": list(scopes), "expires_in_s": expires_in_s})
        # Not repeatable: a stored answer would have to hold the secret.
        return json_object(self._transport.call("POST", "keys", body=body))

    def revoke_key(self, key_id: str) -> None:
        """Holds within a second."""
        self._transport.call("DELETE", "keys", key_id)
