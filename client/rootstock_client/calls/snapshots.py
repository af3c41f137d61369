"""New rows for a table that is there: snapshots in modes, their drift, and the way back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rootstock_client.calls.base import Calls, started, without_none
from rootstock_client.calls.tables import ColumnOverrides, split_field
from rootstock_client.jobs import Job
from rootstock_client.sending import Source, sending
from rootstock_client.transport import JsonObject, json_object

Mode = Literal["replace", "append", "upsert"]


class SnapshotCalls(Calls):
    def add_snapshot(
        self,
        table: str,
        source: Source,
        *,
        mode: Mode,
        on_conflict: Literal["refuse", "keep", "update"] | None = None,
        accept_drift: bool = False,
        parent: int | None = None,
        columns: ColumnOverrides | None = None,
        split: str | Mapping[str, Any] | None = None,
        evaluation_fraction: float | None = None,
        reading: Mapping[str, Any] | None = None,
        pretrain: bool = False,
        pretrain_max_seconds: float | None = None,
    ) -> Job:
        """Upload rows for a table; the job makes the next snapshot of them. Rows that stay keep their side of the split.

        Args:
            mode: `replace` all rows, `append` new ones, or `upsert` by key.
            on_conflict: of rows whose key is there: by default `refuse` for append and `update` for upsert.
            accept_drift: take rows that differ severely from the table; else the job fails with `drift_refused`.
            parent: the snapshot version that must still be current.
            columns: kinds and roles of new columns; `{"role": "drop"}` leaves a column out from now on.
            split, evaluation_fraction: another rule for the rows that are new, such as a later `cutoff`.

        Raises:
            InvalidRequestError: the mode does not fit the table, or no table by what the first MiB shows.
            ConflictError: the table has no rows yet, or `parent` is not current.
        """
        fields = without_none(
            {
                "mode": mode,
                "on_conflict": on_conflict,
                "drift": "accept" if accept_drift else None,
                "parent": None if parent is None else str(parent),
                "columns": json.dumps({name: dict(said) for name, said in columns.items()})
                if columns
                else None,
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
        return started(
            self._transport.call(
                "POST",
                "tables",
                table,
                "snapshots",
                **sending(table, source, fields),
                makes_something=True,
            )
        )

    def snapshots(self, table: str) -> list[JsonObject]:
        """Versions of the table's rows, newest first."""
        return self._list("tables", table, "snapshots", items="snapshots")

    def snapshot(self, table: str, version: int) -> JsonObject:
        """One version with its changes and its whole drift report."""
        return self._get("tables", table, "snapshots", version)

    def restore_snapshot(self, table: str, version: int) -> JsonObject:
        """Make the rows of an earlier version current again, as a new version."""
        return json_object(
            self._transport.call(
                "POST", "tables", table, "snapshots", version, "restore", makes_something=True
            )
        )

    def delete_snapshot(self, table: str, version: int) -> JsonObject:
        """Delete an old version; says what went with it.

        Raises:
            ConflictError: it is current, or an encoder, a label set or a job stands on it (`snapshot_in_use`).
        """
        return json_object(self._transport.call("DELETE", "tables", table, "snapshots", version))

    def proposals(self, table: str) -> list[JsonObject]:
        """Kinds and roles that the profile suggests and that are not in effect."""
        found: list[JsonObject] = self._get("tables", table, "proposals")["proposals"]
        return found

    def accept_proposals(self, table: str, columns: Sequence[str] | Literal["*"] = "*") -> JsonObject:
        """Change the named columns as proposed (all that can be, by default); says what this makes stale."""
        body = {"columns": columns if isinstance(columns, str) else list(columns)}
        return json_object(
            self._transport.call(
                "POST", "tables", table, "proposals", "accept", body=body, is_repeatable=True
            )
        )
