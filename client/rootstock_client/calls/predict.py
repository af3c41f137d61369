"""Predictions of many targets for the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import polars as pl

from rootstock_client.calls.base import Calls
from rootstock_client.calls.heads import EVERY_TARGET
from rootstock_client.calls.tables import Names
from rootstock_client.errors import InvalidArgumentError
from rootstock_client.frames import Rows, json_rows
from rootstock_client.predictions import PredictionSet, joined
from rootstock_client.transport import json_object

ROWS_PER_REQUEST = 5_000
CELLS_PER_REQUEST = 250_000
"""Keeps the body of one request at a few megabytes, also for wide tables."""


class PredictCalls(Calls):
    def predict(
        self,
        table: str,
        targets: Names = EVERY_TARGET,
        *,
        rows: Rows | None = None,
        keys: Sequence[str | int] | pl.Series | None = None,
        coverage: float | None = None,
        extra: Literal["refuse", "ignore"] | None = None,
        rows_per_request: int = ROWS_PER_REQUEST,
    ) -> PredictionSet:
        """Predict one target, several, or all that have a champion (`"*"`), from one encoder pass.

        Many rows go in several requests; the head versions that answered the first are asked for by number
        in the others, so that an alias that moves meanwhile does not mix two models.

        Args:
            targets: `churn` (its champion), `churn@challenger` (an alias) or `churn:3` (a version).
            rows: a frame or mappings of column names to values; missing and null are missing values.
            keys: rows of the table's current snapshot.
            coverage: of the intervals of regression targets, by default 0.9. Where it is given, class targets answer
                with sets too: the classes that hold the true one with this probability.
            extra: what to do with columns the table does not have, by default `refuse`.

        Raises:
            InvalidArgumentError: neither or both of `rows` and `keys`.
            InvalidRequestError: an unknown column, a wrong type. NotFoundError: an unknown target or key.
        """
        if (rows is None) == (keys is None):
            raise InvalidArgumentError("pass either rows or keys, exactly one of them", code="rows_or_keys")
        body: dict[str, Any] = {}
        if coverage is not None:
            body["coverage"] = coverage
        if extra is not None:
            body["extra"] = extra
        asked: list[str] | str = (
            targets if targets == EVERY_TARGET else [targets] if isinstance(targets, str) else list(targets)
        )
        parts: list[PredictionSet] = []
        names_of: dict[str, list[str]] = {}
        for batch in _batches(rows, keys, rows_per_request):
            answer = self._transport.call(
                "POST",
                "tables",
                table,
                "predict",
                body=body | batch | {"targets": list(names_of) or asked},
                is_repeatable=True,
            )
            parts.append(PredictionSet.from_json(json_object(answer)))
            names_of = names_of or _pinned(parts[0])
        return joined(parts, names_of)


def _pinned(first: PredictionSet) -> dict[str, list[str]]:
    """References by version to the heads that answered, each with the names it was asked for by."""
    pinned: dict[str, list[str]] = {}
    for name, prediction in first.predictions.items():
        target = name.split("@")[0].split(":")[0]
        pinned.setdefault(f"{target}:{prediction['head']}", []).append(name)
    return pinned


def _batches(
    rows: Rows | None, keys: Sequence[str | int] | pl.Series | None, size: int
) -> Iterator[dict[str, list[Any]]]:
    """Bodies with at most `size` rows; one (empty) where there are none, since that too has an answer."""
    if keys is not None:
        listed = keys.to_list() if isinstance(keys, pl.Series) else list(keys)
        for start in range(0, max(1, len(listed)), size):
            yield {"keys": listed[start : start + size]}
        return
    assert rows is not None
    num_columns = len(rows.columns) if isinstance(rows, pl.DataFrame) else max(map(len, rows), default=1)
    size = max(1, min(size, CELLS_PER_REQUEST // max(1, num_columns)))
    for start in range(0, max(1, len(rows)), size):
        yield {"rows": json_rows(rows[start : start + size])}
