"""Say what to predict, and how to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rootstock_client.calls.base import Calls, without_none
from rootstock_client.calls.tables import Names, as_names
from rootstock_client.errors import InvalidArgumentError
from rootstock_client.frames import Scalar
from rootstock_client.transport import JsonObject, json_object


class TargetCalls(Calls):
    def create_target(
        self,
        table: str,
        name: str,
        *,
        column: str | None = None,
        task: str | None = None,
        positive: Scalar = None,
        forbidden_columns: Names = (),
        decision: Mapping[str, Any] | None = None,
    ) -> JsonObject:
        """Say what to predict about the rows.

        Args:
            column: the column that holds the labels; without one, labels are sent by key with `label`.
            task: `binary`, `multiclass` or `regression`; inferred from the labels where it is left out.
            positive: the positive class of a binary target.
            forbidden_columns: columns that must not be used for it (known only after the outcome, …).
            decision: how `label` follows from probabilities, such as `{"rule": "threshold", "threshold": 0.3}`.
        """
        forbidden = list(as_names(forbidden_columns))
        body = without_none({"name": name, "column": column, "task": task, "positive": positive})
        if forbidden:
            body["forbidden_columns"] = forbidden
        if decision is not None:
            body["decision"] = dict(decision)
        return json_object(
            self._transport.call("POST", "tables", table, "targets", body=body, makes_something=True)
        )

    def targets(self, table: str) -> list[JsonObject]:
        return self._list("tables", table, "targets", items="targets")

    def target(self, table: str, target: str) -> JsonObject:
        return self._get("tables", table, "targets", target)

    def delete_target(self, table: str, target: str) -> None:
        """Delete the target with its labels and heads."""
        self._transport.call("DELETE", "tables", table, "targets", target)

    def decision(self, table: str, target: str) -> JsonObject:
        """How `label` follows from probabilities, and what that comes to on the champion's judged rows."""
        return self._get("tables", table, "targets", target, "decision")

    def set_decision(
        self,
        table: str,
        target: str,
        *,
        threshold: float | None = None,
        costs: Sequence[Sequence[float]] | None = None,
        share: float | None = None,
        count: int | None = None,
    ) -> JsonObject:
        """Decide by one of these from now on; with none of them for the most probable class again.

        Args:
            threshold: of two classes the positive one, where its probability is at least this.
            costs: `costs[i][j]` is what deciding class j costs where class i is true, in the order of `classes`.
            share: of two classes the positive one, for at most this share of the rows.
            count: the same, for at most this many rows of the table.
        """
        given = without_none({"threshold": threshold, "costs": costs, "share": share, "count": count})
        if len(given) > 1:
            raise InvalidArgumentError(
                f"a decision follows one rule, received {', '.join(given)}", code="invalid_decision"
            )
        segments = ("tables", table, "targets", target, "decision")
        if not given:
            return json_object(self._transport.call("DELETE", *segments))
        return json_object(self._transport.call("PUT", *segments, body=_rule(given)))


def _rule(given: JsonObject) -> JsonObject:
    name = next(iter(given))
    if name == "costs":
        return {"rule": "costs", "costs": [list(row) for row in given["costs"]]}
    return {"rule": "threshold" if name == "threshold" else "capacity", **given}
