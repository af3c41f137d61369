"""Register tables, look at them, say more of their columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rootstock_client.calls.base import Calls, started, without_none
from rootstock_client.errors import InvalidArgumentError
from rootstock_client.jobs import Job
from rootstock_client.sending import Source, sending
from rootstock_client.transport import JsonObject, json_object

Names = str | Sequence[str]
ColumnOverrides = Mapping[str, Mapping[str, str]]
"""Column name to what is said of it: `{"zip": {"kind": "categorical"}, "churned": {"role": "target"}}`."""


class TableCalls(Calls):
    def register(
        self,
        name: str,
        source: Source,
        *,
        columns: ColumnOverrides | None = None,
        key: Names = (),
        group: Names = (),
        time: Names = (),
        weight: Names = (),
        targets: Names = (),
        drop: Names = (),
        split: str | Mapping[str, Any] | None = None,
        evaluation_fraction: float | None = None,
        reading: Mapping[str, Any] | None = None,
        pretrain: bool = False,
        pretrain_max_seconds: float | None = None,
    ) -> Job:
        """Upload a table under a new name; the job turns it into a snapshot with kinds, roles and a profile.

        Args:
            source: a file (CSV, TSV, Parquet, Arrow IPC, JSON lines; plain or compressed; streamed, never held in
                memory), several files with the same columns, a data frame, or `ServerFiles`.
            columns: kinds and roles that are known; everything else is inferred.
            key, group, time, weight, targets, drop: columns by role, a shorter way to write `columns`.
            split: `auto` (default), `time`, `group`, `key` or `row`: how rows are kept apart for evaluation; or with a
                fixed moment from which on rows evaluate: `{"by": "time", "cutoff": "2024-06-01"}`.
            evaluation_fraction: 0 to 0.5, by default 0.1.
            reading: what is known of the file: `delimiter`, `encoding`, `decimal`, `has_header`, `skip_lines`,
                `ragged_rows`, `odd_rows` and others (docs/reading.md).
            pretrain: queue the pretraining as soon as the snapshot is ready, for `pretrain_max_seconds` (by default 600).

        Raises:
            InvalidArgumentError: the file cannot be opened, or a column is given two roles.
            InvalidRequestError: no table, by what the first MiB shows. ConflictError: the name is taken.
        """
        roles = {"key": key, "group": group, "time": time, "weight": weight, "target": targets, "drop": drop}
        overrides = overrides_of(columns or {}, roles)
        fields = without_none(
            {
                "name": name,
                "columns": json.dumps(overrides) if overrides else None,
                "split": split_field(split),
                "evaluation_fraction": None
                if evaluation_fraction is None
                else repr(float(evaluation_fraction)),
                "reading": json.dumps(dict(reading)) if reading else None,
                "pretrain": "true" if pretrain else None,
                "pretrain_max_seconds": None
                if pretrain_max_seconds is None
                else repr(float(pretrain_max_seconds)),
            }
        )
        sent = sending(name, source, fields)
        return started(self._transport.call("POST", "tables", **sent, makes_something=True))

    def sources(self, pattern: str = "*") -> list[JsonObject]:
        """Folders of the server that tables may be read from, each with the number of its files that match."""
        params = {"pattern": pattern}
        answer = json_object(self._transport.call("GET", "sources", params=params))
        found: list[JsonObject] = answer["sources"]
        return found

    def tables(self) -> list[JsonObject]:
        """All tables of the key's workspace."""
        return self._list("tables", items="tables")

    def table(self, table: str) -> JsonObject:
        return self._get("tables", table)

    def profile(self, table: str, *, snapshot: int | None = None) -> JsonObject:
        """Counts, nulls, distinct values, quantiles or top values, evidence and warnings of every column, and of the
        split; of the current snapshot or another version."""
        params = None if snapshot is None else {"snapshot": snapshot}
        return json_object(self._transport.call("GET", "tables", table, "profile", params=params))

    def set_columns(self, table: str, columns: ColumnOverrides) -> JsonObject:
        """Change kinds and roles; the answer says which encoders and heads this makes stale."""
        body = {"columns": {name: dict(override) for name, override in columns.items()}}
        return json_object(
            self._transport.call("PATCH", "tables", table, "columns", body=body, is_repeatable=True)
        )

    def delete_table(self, table: str) -> None:
        """Delete the table with its snapshots, encoders, targets and heads."""
        self._transport.call("DELETE", "tables", table)


def as_names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def overrides_of(columns: ColumnOverrides, roles: Mapping[str, Names]) -> dict[str, dict[str, str]]:
    """Overrides with the columns that are named by role.

    Raises:
        InvalidArgumentError: a column has two roles.
    """
    overrides = {name: dict(override) for name, override in columns.items()}
    for role, names in roles.items():
        for name in as_names(names):
            given = overrides.setdefault(name, {})
            if given.setdefault("role", role) != role:
                raise InvalidArgumentError(
                    f"column {name!r} is given the roles {given['role']!r} and {role!r}: a column has one",
                    code="two_roles",
                )
    return overrides


def split_field(split: str | Mapping[str, Any] | None) -> str | None:
    """The form field of a split that is said by its name, or with a cutoff."""
    if not split:
        return None
    return json.dumps({"by": split} if isinstance(split, str) else dict(split))
