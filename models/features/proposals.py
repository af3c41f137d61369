"""Kinds and roles a caller may want to give to columns, from counts and names; nothing here is done unasked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import polars as pl

from models.features.column_names import names_birth, names_moment, names_weight
from models.features.integer_moments import integer_form
from models.features.schema import ColumnKind, ColumnSchema, Role, TableSchema

JsonObject = dict[str, Any]


class _Proposal(NamedTuple):
    column: str
    reason: str
    role: Role | None = None
    kind: ColumnKind | None = None

    def as_json(self) -> JsonObject:
        said = {"kind": self.kind, "role": self.role}
        return {
            "column": self.column,
            **{word: value.value for word, value in said.items() if value is not None},
            "reason": self.reason,
        }


def find_proposals(
    frame: pl.DataFrame, schema: TableSchema, columns: Mapping[str, JsonObject]
) -> list[JsonObject]:
    """At most one per feature column, in the schema's order: [{"column", "kind"? | "role"?, "reason"}]. `columns` are
    their entries of the profile ("count", "nulls", "distinct").

    Roles that one column at most may have are proposed for one at most, and not where one has it already.
    """
    found: dict[str, _Proposal] = {}
    for proposal in (
        *_columns_to_drop(frame, schema),
        *_identifiers(frame, schema, columns),
        *_weights(frame, schema, columns),
        *_times(frame, schema, columns),
        *_kinds(frame, schema),
    ):
        found.setdefault(proposal.column, proposal)
    return [found[name].as_json() for name in schema.names if name in found]


def _columns_to_drop(frame: pl.DataFrame, schema: TableSchema) -> Iterator[_Proposal]:
    """Constant columns, and those that repeat an earlier one or a target cell by cell."""
    stored = [column for column in schema.columns if column.kind is not ColumnKind.CONSTANT]
    targets_first = sorted(stored, key=lambda column: column.role is not Role.TARGET)
    seen: dict[tuple[str, int], list[ColumnSchema]] = {}
    for column in targets_first:
        values = frame[column.name]
        twins = seen.setdefault((column.storage_type, int(values.hash(0).sum() or 0)), [])
        twin = next((one for one in twins if frame[one.name].equals(values, null_equal=True)), None)
        if twin is None:
            twins.append(column)
        elif column.role is Role.FEATURE:
            what = (
                f"the target column {twin.name!r}: it gives the label away"
                if twin.role is Role.TARGET
                else f"{twin.name!r}"
            )
            yield _Proposal(column.name, f"every cell repeats {what}", role=Role.DROP)
    for column in schema.with_role(Role.FEATURE):
        if column.kind is ColumnKind.CONSTANT:
            is_empty = frame[column.name].null_count() == frame.height
            yield _Proposal(
                column.name, "no values at all" if is_empty else "one value throughout", role=Role.DROP
            )


def _identifiers(
    frame: pl.DataFrame, schema: TableSchema, columns: Mapping[str, JsonObject]
) -> Iterator[_Proposal]:
    has_key, has_group = bool(schema.with_role(Role.KEY)), bool(schema.with_role(Role.GROUP))
    for column in schema.with_role(Role.FEATURE):
        if column.kind is not ColumnKind.IDENTIFIER:
            continue
        entry = columns[column.name]
        is_keylike = column.storage_type in ("integer", "string")
        if is_keylike and entry["nulls"] == 0 and entry["distinct"] == frame.height and not has_key:
            has_key = True
            yield _Proposal(column.name, "every row has its own value", role=Role.KEY)
        elif is_keylike and entry["distinct"] < entry["count"] and not has_group:
            has_group = True
            reason = "an identifier that repeats: its rows belong together, on one side of the split"
            yield _Proposal(column.name, reason, role=Role.GROUP)
        else:
            yield _Proposal(column.name, "an identifier says nothing about other rows", role=Role.DROP)


def _weights(
    frame: pl.DataFrame, schema: TableSchema, columns: Mapping[str, JsonObject]
) -> Iterator[_Proposal]:
    if schema.with_role(Role.WEIGHT):
        return
    for column in schema.with_role(Role.FEATURE):
        if column.kind is not ColumnKind.CONTINUOUS or not names_weight(column.name):
            continue
        lowest = frame[column.name].min()
        if columns[column.name]["nulls"] == 0 and isinstance(lowest, int | float) and lowest > 0:
            reason = (
                "named like a weight: if it says how many rows of the population a row stands for, it is one"
            )
            yield _Proposal(column.name, reason, role=Role.WEIGHT)
            return


def _times(
    frame: pl.DataFrame, schema: TableSchema, columns: Mapping[str, JsonObject]
) -> Iterator[_Proposal]:
    """The only complete date of the rows; births are older than what a row tells."""
    if schema.with_role(Role.TIME):
        return
    dates = [
        column.name
        for column in schema.with_role(Role.FEATURE)
        if column.kind is ColumnKind.DATETIME
        and columns[column.name]["nulls"] == 0
        and not names_birth(column.name)
    ]
    if len(dates) == 1 and frame.height:
        reason = "the only date that every row has: if it is when the row came about, rows can be split by it"
        yield _Proposal(dates[0], reason, role=Role.TIME)


def _kinds(frame: pl.DataFrame, schema: TableSchema) -> Iterator[_Proposal]:
    for column in schema.with_role(Role.FEATURE):
        if column.storage_type != "integer" or column.kind is not ColumnKind.CONTINUOUS:
            continue
        form = integer_form(frame[column.name].drop_nulls()) if names_moment(column.name) else None
        if form in ("seconds", "milliseconds", "microseconds", "yyyymmdd"):
            what = "dates written as yyyymmdd" if form == "yyyymmdd" else f"{form} since 1970"
            yield _Proposal(
                column.name, f"named like a time, and its numbers could be {what}", kind=ColumnKind.DATETIME
            )
