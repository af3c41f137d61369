"""Say what to predict, and send labels."""

from __future__ import annotations

from rootstock_client.calls.base import Calls, without_none
from rootstock_client.calls.tables import Names, as_names
from rootstock_client.errors import InvalidArgumentError, InvalidRequestError
from rootstock_client.frames import Labels, Scalar, label_batches
from rootstock_client.transport import JsonObject, json_object

LABELS_PER_REQUEST = 50_000
NO_KEY_MATCHES = "no_label_matches"
_COUNTS = ("accepted", "replaced", "withdrawn", "unmatched")


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
    ) -> JsonObject:
        """Say what to predict about the rows.

        Args:
            column: the column that holds the labels; without one, labels are sent by key with `label`.
            task: `binary`, `multiclass` or `regression`; inferred from the labels where it is left out.
            positive: the positive class of a binary target.
            forbidden_columns: columns that must not be used for it (known only after the outcome, …).
        """
        forbidden = list(as_names(forbidden_columns))
        body = without_none({"name": name, "column": column, "task": task, "positive": positive})
        if forbidden:
            body["forbidden_columns"] = forbidden
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

    def label(
        self,
        table: str,
        target: str,
        labels: Labels,
        *,
        strict: bool = False,
        labels_per_request: int = LABELS_PER_REQUEST,
    ) -> JsonObject:
        """Send labels by key; a null value withdraws the label of its key.

        Many labels go in several requests, each applied as a whole before the next is sent; `strict` (refuse
        when any key is unknown) holds within each. A request none of whose keys is known is refused and
        counted as unmatched where others are not.

        Args:
            labels: a frame with the columns `key`, `value` (and `at`, `weight`); or mappings with these
                names; or tuples `(key, value)`.

        Returns:
            `{"accepted", "replaced", "withdrawn", "unmatched", "num_labels"}`, summed over the requests.
        """
        total: JsonObject = dict.fromkeys(_COUNTS, 0)
        refused: InvalidRequestError | None = None
        answer: JsonObject | None = None
        for batch in label_batches(labels, labels_per_request):
            body = {"labels": batch, "strict": strict}
            try:
                answer = json_object(
                    self._transport.call(
                        "POST", "tables", table, "targets", target, "labels", body=body, makes_something=True
                    )
                )
            except InvalidRequestError as error:
                if strict or error.code != NO_KEY_MATCHES:
                    raise
                refused = error
                total["unmatched"] += len(batch)
                continue
            for name in _COUNTS:
                total[name] += answer.get(name, 0)
            total |= {name: value for name, value in answer.items() if name not in _COUNTS}
        if answer is None:
            raise refused or InvalidArgumentError("there are no labels to send", code="no_labels")
        return total
