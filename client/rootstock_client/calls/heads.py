"""Fine-tune: make head versions, and look at them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rootstock_client.calls.base import Calls, started, without_none
from rootstock_client.calls.tables import Names
from rootstock_client.errors import ConflictError
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject

EVERY_TARGET = "*"


class HeadCalls(Calls):
    def finetune(
        self,
        table: str,
        targets: Names = EVERY_TARGET,
        *,
        head: Mapping[str, Any] | str | None = None,
        max_labels: int | None = None,
        seed: int | None = None,
        max_seconds: float | None = None,
        alias: str | None = None,
    ) -> Job:
        """Fit a new head version for one target, several, or all (`"*"`), in one job over one encoder pass.

        Args:
            head: a kind, or a kind with its options; by default `auto`.
            max_labels: use a random sample of the labels that depends on `seed` only; by default all.
            alias: moves to the new version if it beats the constant predictor and the champion is not better.

        Returns:
            the job; its result says for every target what became of it and why.
        """
        config = {"kind": head} if isinstance(head, str) else head
        labels = without_none({"limit": max_labels, "seed": seed})
        body = without_none(
            {"head": config, "labels": labels or None, "max_seconds": max_seconds, "alias": alias}
        )
        body["targets"] = _names(targets)
        return started(
            self._transport.call("POST", "tables", table, "fine-tunes", body=body, makes_something=True)
        )

    def refit(
        self,
        table: str,
        targets: Names = EVERY_TARGET,
        *,
        encoder: int | None = None,
        labels: Literal["latest", "same"] | None = None,
        max_seconds: float | None = None,
        promote: bool | None = None,
    ) -> Job:
        """Fit the champions of all targets (`"*"`), or of some, anew on an encoder and the current snapshot.

        Args:
            encoder: version; by default the active one.
            labels: the latest label set of each target (the default), or the one its champion was fitted on.
            max_seconds: for all heads together; by default 60 for each.
            promote: whether `champion` moves where the gate lets it; by default it does.

        Returns:
            one job; its result has a `summary` with the paired difference of every target, new minus champion.

        Raises:
            ConflictError: `encoder` is None and the table has no active one (`no_encoder`).
        """
        if encoder is None:
            encoder = self._get("tables", table).get("active_encoder")
        if encoder is None:
            raise ConflictError(
                "The table has no active encoder; pretrain one, or name a version.",
                code="no_encoder",
                status=409,
            )
        body = without_none({"labels": labels, "max_seconds": max_seconds, "promote": promote})
        body["targets"] = _names(targets)
        return started(
            self._transport.call(
                "POST", "tables", table, "encoders", encoder, "refit", body=body, makes_something=True
            )
        )

    def heads(self, table: str, target: str) -> list[JsonObject]:
        """Head versions of a target, newest first."""
        return self._list("tables", table, "targets", target, "heads", items="heads")

    def head(self, table: str, target: str, version: int) -> JsonObject:
        """One head version: metrics with intervals, baselines on the same labels, verdict, aliases."""
        return self._get("tables", table, "targets", target, "heads", version)

    def delete_head(self, table: str, target: str, version: int) -> None:
        """Raises:
        ConflictError: an alias points at it.
        """
        self._transport.call("DELETE", "tables", table, "targets", target, "heads", version)


def _names(targets: Names) -> str | list[str]:
    if targets == EVERY_TARGET:
        return EVERY_TARGET
    return [targets] if isinstance(targets, str) else list(targets)
