"""Movable names of head versions."""

from __future__ import annotations

from rootstock_client.calls.base import Calls
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject, json_object

CHAMPION = "champion"


class AliasCalls(Calls):
    def aliases(self, table: str, target: str) -> list[JsonObject]:
        return self._list("tables", table, "targets", target, "aliases", items="aliases")

    def alias(self, table: str, target: str, alias: str = CHAMPION) -> JsonObject:
        """One alias: its head version, and the `revision` that a careful move names."""
        return self._get("tables", table, "targets", target, "aliases", alias)

    def set_alias(
        self, table: str, target: str, alias: str, version: int, *, if_revision: int | None = None
    ) -> JsonObject:
        """Point an alias at a ready head version.

        Args:
            if_revision: only if the alias is still at this revision (0: only if it does not exist yet).

        Raises:
            StaleRevisionError: it has moved since.
        """
        response = self._transport.call(
            "PUT",
            "tables",
            table,
            "targets",
            target,
            "aliases",
            alias,
            body={"version": version},
            headers=_condition(if_revision),
            # A repeat after a lost answer would find its own move and call it stale.
            is_repeatable=if_revision is None,
        )
        return json_object(response)

    def rollback(
        self, table: str, target: str, alias: str = CHAMPION, *, if_revision: int | None = None
    ) -> JsonObject:
        """Point an alias back at the version it had before its last move.

        Raises:
            ConflictError: there is nothing to go back to. StaleRevisionError: it is not at `if_revision`.
        """
        response = self._transport.call(
            "POST",
            "tables",
            table,
            "targets",
            target,
            "aliases",
            alias,
            "rollback",
            headers=_condition(if_revision),
        )
        return json_object(response)

    def rollback_job(self, table: str, job: Job | str) -> JsonObject:
        """Take back every alias move that a refit or fine-tune made, all at once.

        Returns:
            `rolled_back`, and `left_alone`: aliases that have moved since, with the reason.

        Raises:
            ConflictError: the job moved none, or has not ended.
        """
        job_id = job.id if isinstance(job, Job) else job
        response = self._transport.call(
            "POST", "tables", table, "rollback", body={"job": job_id}, makes_something=True
        )
        return json_object(response)

    def delete_alias(
        self, table: str, target: str, alias: str, *, if_revision: int | None = None
    ) -> JsonObject:
        """Remove an alias; its history stays. Without `champion` a target is served by version only.

        Raises:
            NotFoundError: there is none. StaleRevisionError: it is not at `if_revision`.
        """
        response = self._transport.call(
            "DELETE", "tables", table, "targets", target, "aliases", alias, headers=_condition(if_revision)
        )
        return json_object(response)

    def history(self, table: str, target: str, alias: str = CHAMPION) -> list[JsonObject]:
        """Every move of an alias, newest first: who or what moved it, when, from and to which version."""
        return self._list("tables", table, "targets", target, "aliases", alias, "history", items="history")


def _condition(revision: int | None) -> dict[str, str]:
    if revision is None:
        return {}
    return {"If-None-Match": "*"} if revision == 0 else {"If-Match": f'"{revision}"'}
