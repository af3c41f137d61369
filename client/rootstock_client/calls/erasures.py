"""Erase rows by key everywhere, with a receipt."""

from __future__ import annotations

from collections.abc import Sequence

from rootstock_client.calls.base import Calls, started
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject


class ErasureCalls(Calls):
    def erase(self, table: str, keys: Sequence[str | int]) -> Job:
        """Erase the rows of `keys` from every version of everything the table stores. There is no way back.

        Returns:
            the job; `created["salt"]` is given here and nowhere else. The job's id is that of the receipt.

        Raises:
            ConflictError: other jobs of the table are unfinished (`table_busy`).
        """
        body = {"keys": list(keys)}
        return started(
            self._transport.call("POST", "tables", table, "erasures", body=body, makes_something=True)
        )

    def erasures(self, table: str) -> list[JsonObject]:
        """Receipts, newest first."""
        found: list[JsonObject] = self._get("tables", table, "erasures")["erasures"]
        return found

    def erasure(self, table: str, erasure: Job | str) -> JsonObject:
        """The receipt of one erasure: where rows were removed, and what was trained with them.

        Raises:
            ConflictError: its job has not ended, or not well (`erasure_not_finished`).
        """
        return self._get("tables", table, "erasures", erasure.id if isinstance(erasure, Job) else erasure)
