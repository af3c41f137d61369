"""Pretrain encoders and choose the active one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rootstock_client.calls.base import Calls, started, without_none
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject, json_object


class EncoderCalls(Calls):
    def pretrain(
        self,
        table: str,
        *,
        max_seconds: float | None = None,
        architecture: Mapping[str, Any] | None = None,
        objectives: Sequence[Mapping[str, Any]] | None = None,
        codec: Mapping[str, int] | None = None,
        seed: int | None = None,
    ) -> Job:
        """Train a new encoder version on the table's rows, without labels.

        Args:
            max_seconds: of training, by default 600.
            architecture: `{"kind": …}` with its options; objectives: a list of the same.
            codec: sizes of vocabularies and bins, such as `{"min_count": 5}`: values seen in fewer rows are never stored.
        """
        body = without_none(
            {
                "max_seconds": max_seconds,
                "architecture": architecture,
                "objectives": objectives,
                "codec": codec,
                "seed": seed,
            }
        )
        return started(
            self._transport.call("POST", "tables", table, "encoders", body=body, makes_something=True)
        )

    def encoders(self, table: str) -> list[JsonObject]:
        """Encoder versions, newest first, without their reports."""
        return self._list("tables", table, "encoders", items="encoders")

    def encoder(self, table: str, version: int) -> JsonObject:
        """One encoder version with its report."""
        return self._get("tables", table, "encoders", version)

    def activate(self, table: str, version: int) -> JsonObject:
        """Make a ready encoder version the one that new heads are fitted on."""
        return json_object(
            self._transport.call("POST", "tables", table, "encoders", version, "activate", is_repeatable=True)
        )

    def delete_encoder(self, table: str, version: int) -> JsonObject:
        """Delete a version that is not active and that no head is pinned to.

        Raises:
            ConflictError: it is in use; the message names the heads.
        """
        return json_object(self._transport.call("DELETE", "tables", table, "encoders", version))
