"""Register tables, look at them, say more of their columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from rootstock_client.calls.base import Calls, started, without_none
from rootstock_client.errors import InvalidArgumentError
from rootstock_client.frames import parquet_bytes
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject, Upload, json_object

Names = str | Sequence[str]
ColumnOverrides = Mapping[str, Mapping[str, str]]
"""Column name to what is said of it: `{"zip": {"kind": "categorical"}, "churned": {"role": "target"}}`."""

OCTETS = "application/octet-stream"


class TableCalls(Calls):
    def register(
        self,
        name: str,
        source: str | PathLike[str] | pl.DataFrame,
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
            source: a CSV, TSV or Parquet file (streamed, never held in memory), or a data frame.
            columns: kinds and roles that are known; everything else is inferred.
            key, group, time, weight, targets, drop: columns by role, a shorter way to write `columns`.
            split: `auto` (default), `time`, `group`, `key` or `row`: how rows are kept apart for evaluation; or with a
                fixed moment from which on rows evaluate: `{"by": "time", "cutoff": "2024-06-01"}`.
            evaluation_fraction: 0 to 0.5, by default 0.1.
            reading: what is known of the file: `delimiter`, `encoding`, `decimal`, `has_header`, `format`.
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
        upload = upload_of(name, source)
        return started(
            self._transport.call("POST", "tables", fields=fields, upload=upload, makes_something=True)
        )

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


def upload_of(name: str, source: str | PathLike[str] | pl.DataFrame) -> Upload:
    """Opens the source anew for every attempt, so that a retry sends all of it."""
    if isinstance(source, pl.DataFrame):
        content = parquet_bytes(source)
        return lambda stack: {"file": (f"{name}.parquet", content, OCTETS)}
    path = Path(source)
    if not path.is_file():
        raise InvalidArgumentError(f"there is no file {str(path)!r}", code="no_such_file")
    return _file_upload(path)


def _file_upload(path: Path) -> Callable[[ExitStack], Mapping[str, tuple[str, Any, str]]]:
    def open_file(stack: ExitStack) -> Mapping[str, tuple[str, Any, str]]:
        try:
            return {"file": (path.name, stack.enter_context(path.open("rb")), OCTETS)}
        except OSError as error:
            raise InvalidArgumentError(
                f"the file {str(path)!r} cannot be opened: {error.strerror}", code="unreadable_file"
            ) from error

    return open_file
