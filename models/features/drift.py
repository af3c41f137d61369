"""What changed between the rows of a table and those that come: columns, types, distributions; as figures and sentences.

The report holds names, counts and shares, never a cell. Severities and what reaches them:

| finding | notice | warning | severe |
|---|---|---|---|
| column added | always | | |
| column lost (append and upsert: null in the new rows) | weights, dropped targets | kinds that are no input | features, targets of a replaced table, group, time |
| column retyped (stored in another type) | | kinds that are no input | features, targets, key, group, time |
| kind changed | always | | |
| distribution moved (beyond chance) | js ≥ 0.02 or ks ≥ 0.1 | js ≥ 0.05 or ks ≥ 0.2 | js ≥ 0.5 or ks ≥ 0.6 |
| missing values (beyond chance) | 5 points | 20 points | 60 points |
| emptied (updated rows that lost a value; beyond chance) | always | 20 % | 60 % |
| unseen categories (beyond chance) | 1 % | 10 % | 50 % |

`js` 0.02 and 0.05 bits correspond to a population stability index of about 0.1 and 0.25, the usual marks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import polars as pl

from models.errors import SchemaError
from models.features.distribution_shift import (
    category_shift,
    numeric_shift,
    shares_differ,
    unseen_share,
)
from models.features.merging import Changes, Mode
from models.features.schema import RESERVED_COLUMNS, ColumnKind, ColumnSchema, Role, TableSchema

JsonObject = dict[str, Any]

_CATEGORIES = frozenset({ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN, ColumnKind.POSTAL_CODE})
_MOVING = frozenset({Role.KEY, Role.TIME, Role.GROUP})  # new rows have new keys, times and groups
_NO_INPUT = frozenset({ColumnKind.IDENTIFIER, ColumnKind.CONSTANT})
_JS, _KS = (0.02, 0.05, 0.5), (0.1, 0.2, 0.6)
_MISSING, _UNSEEN = (0.05, 0.2, 0.6), (0.01, 0.1, 0.5)
_MAX_NAMED = 10


class Severity(IntEnum):
    NONE = 0
    NOTICE = 1
    WARNING = 2
    SEVERE = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Finding:
    column: str
    what: str  # added, lost, retyped, kind_changed, distribution, missing, emptied, unseen
    severity: Severity
    sentence: str


@dataclass
class _Findings:
    found: list[Finding] = field(default_factory=list)
    figures: dict[str, JsonObject] = field(default_factory=dict)

    def add(self, column: str, what: str, severity: Severity, sentence: str) -> None:
        if severity > Severity.NONE:
            self.found.append(Finding(column, what, severity, sentence))


def drift_report(
    before: pl.DataFrame,
    incoming: pl.DataFrame,
    schemas: tuple[TableSchema, TableSchema],
    file_columns: Iterable[str],
    mode: Mode,
    changes: Changes,
    suggested: dict[str, ColumnKind],
    emptied: tuple[int, Mapping[str, int]] = (0, {}),
) -> JsonObject:
    """`before` and `incoming`: the rows of the snapshot before and those that came in, in columns of one type; for
    `append` the new rows, else all rows of the next snapshot. `schemas`: before and after; `suggested`: what the kind
    of a column would be by its values now, where that differs from the kind it keeps; `emptied`: how many rows took
    values of the file in place, and by column how many of them lost theirs.

    {"severity", "rows", "keys", "added", "lost", "retyped", "kind_changed", "columns": {name: {"severity", figures,
    "sentences"}}, "findings": [{"column", "what", "severity", "sentence"}]}
    """
    findings = _Findings()
    old, new = schemas
    structure = _compare_columns(findings, old, new, set(file_columns), mode, suggested)
    _compare_values(findings, before, incoming, old, new, set(file_columns))
    _compare_emptied(findings, new, *emptied)
    worst = max((found.severity for found in findings.found), default=Severity.NONE)
    ordered = sorted(findings.found, key=lambda found: (-found.severity, found.column, found.what))
    return {
        "severity": worst.word,
        "rows": {
            "before": before.height,
            "incoming": incoming.height,
            "after": before.height - changes.removed + changes.added,
        },
        "keys": {
            "shared": changes.updated + changes.unchanged,
            "added": changes.added,
            "removed": changes.removed,
        },
        **structure,
        "columns": _by_column(findings),
        "findings": [
            {"column": one.column, "what": one.what, "severity": one.severity.word, "sentence": one.sentence}
            for one in ordered
        ],
    }


def refuse_severe(report: JsonObject) -> None:
    """Raises: SchemaError drift_refused, with the report, when it is severe."""
    if report["severity"] != Severity.SEVERE.word:
        return
    severe = [one for one in report["findings"] if one["severity"] == Severity.SEVERE.word]
    columns = list(dict.fromkeys(one["column"] for one in severe))
    listed = ", ".join(map(repr, columns[:_MAX_NAMED])) + (" and more" if len(columns) > _MAX_NAMED else "")
    raise SchemaError(
        f"The new rows differ severely from the table in {len(columns)} columns ({listed}). {severe[0]['sentence']} "
        'Nothing was changed. Send drift "accept" to take them as they are, or correct the file.',
        code="drift_refused", count=len(columns), drift=report,
    )  # fmt: skip


def _compare_columns(
    findings: _Findings,
    old: TableSchema,
    new: TableSchema,
    file_columns: set[str],
    mode: Mode,
    suggested: dict[str, ColumnKind],
) -> JsonObject:
    added = [name for name in new.names if name not in old]
    lost = [name for name in old.names if name not in file_columns]
    for name in added:
        findings.add(
            name, "added", Severity.NOTICE, f"Column {name!r} is new; encoders until now do not know it."
        )
    for name in lost:
        _add_lost(findings, old[name], mode)
    retyped, changed = [], []
    for column in new.columns:
        if column.name not in old:
            continue
        was = old[column.name]
        if was.storage_type != column.storage_type:
            retyped.append({"column": column.name, "from": was.storage_type, "to": column.storage_type})
            sentence = (
                f"Column {column.name!r} was stored as {was.storage_type} and is now {column.storage_type}."
            )
            is_used = was.kind not in _NO_INPUT or was.role is not Role.FEATURE
            findings.add(column.name, "retyped", Severity.SEVERE if is_used else Severity.WARNING, sentence)
        if was.kind is not column.kind:
            changed.append({"column": column.name, "from": was.kind.value, "to": column.kind.value})
            sentence = f"Column {column.name!r} was {was.kind} and is now {column.kind}."
            findings.add(column.name, "kind_changed", Severity.NOTICE, sentence)
        elif column.name in suggested:
            sentence = f"Column {column.name!r} stays {column.kind}; by its values now it would be {suggested[column.name]}."
            findings.add(column.name, "kind_changed", Severity.NOTICE, sentence)
    return {"added": added, "lost": lost, "retyped": retyped, "kind_changed": changed}


def _add_lost(findings: _Findings, column: ColumnSchema, mode: Mode) -> None:
    is_whole = mode is Mode.REPLACE
    if column.role is Role.FEATURE:
        severity = Severity.WARNING if column.kind in _NO_INPUT else Severity.SEVERE
    elif column.role is Role.TARGET:  # rows whose outcome is not known yet are what tables are appended with
        severity = Severity.SEVERE if is_whole else Severity.NOTICE
    else:
        severity = Severity.NOTICE if column.role is Role.WEIGHT else Severity.SEVERE
    consequence = "it is gone from the table" if is_whole else "it is empty in the new rows"
    findings.add(column.name, "lost", severity, f"The file lacks the column {column.name!r}: {consequence}.")


def _compare_values(
    findings: _Findings,
    before: pl.DataFrame,
    incoming: pl.DataFrame,
    old: TableSchema,
    new: TableSchema,
    file_columns: set[str],
) -> None:
    judged = [
        column
        for column in new.columns
        if column.name in old
        and column.name in file_columns
        and column.role not in _MOVING
        and column.kind is not ColumnKind.IDENTIFIER
        and column.name not in RESERVED_COLUMNS
    ]
    if not incoming.height or not before.height:
        return
    for column in judged:
        values = (before[column.name], incoming[column.name])
        figures: JsonObject = {}
        _compare_missing(findings, figures, column, values, len(judged))
        known = (values[0].drop_nulls(), values[1].drop_nulls())
        if column.kind in _CATEGORIES or column.kind is ColumnKind.CONTINUOUS:
            _compare_shift(findings, figures, column, known, len(judged))
        if column.kind in _CATEGORIES:
            _compare_unseen(findings, figures, column, known)
        findings.figures[column.name] = figures


def _compare_missing(
    findings: _Findings,
    figures: JsonObject,
    column: ColumnSchema,
    values: tuple[pl.Series, pl.Series],
    num_columns: int,
) -> None:
    counts = [(part.null_count(), len(part)) for part in values]
    was, now = (count / total for count, total in counts)
    figures |= {"missing_before": was, "missing_after": now}
    if shares_differ(counts[0], counts[1], num_columns):
        sentence = f"{was:.1%} of {column.name!r} were missing before, {now:.1%} are now."
        findings.add(column.name, "missing", _severity(abs(now - was), _MISSING), sentence)


def _compare_emptied(
    findings: _Findings, schema: TableSchema, num_rows: int, emptied: Mapping[str, int]
) -> None:
    """Among all rows of a table the few that are updated do not show; what they lose is said by itself."""
    for name, count in emptied.items():
        if name not in schema or not num_rows:
            continue
        severity = _severity(count / num_rows, (0.0, *_MISSING[1:]))
        if not shares_differ((0, num_rows), (count, num_rows), len(schema.columns)):
            severity = Severity.NOTICE
        findings.figures.setdefault(name, {})["emptied"] = count
        sentence = (
            f"{count:,} of {num_rows:,} updated rows had a value of {name!r} and have none now "
            f"({count / num_rows:.1%}); an empty cell of the file empties what the table held."
        )
        findings.add(name, "emptied", severity, sentence)


def _compare_shift(
    findings: _Findings,
    figures: JsonObject,
    column: ColumnSchema,
    known: tuple[pl.Series, pl.Series],
    num_columns: int,
) -> None:
    is_number = (
        column.kind is ColumnKind.CONTINUOUS and known[0].dtype.is_numeric() and known[1].dtype.is_numeric()
    )
    shift = numeric_shift(*known, num_columns) if is_number else category_shift(*known, num_columns)
    if shift is None:
        return
    figures |= {"js": shift.js, "psi": shift.psi, "is_significant": shift.is_significant}
    if shift.ks is not None:
        figures["ks"] = shift.ks
    if shift.is_significant:
        severity = max(_severity(shift.js, _JS), _severity(shift.ks or 0.0, _KS))
        ks = "" if shift.ks is None else f", KS distance {shift.ks:.2f}"
        sentence = f"The values of {column.name!r} are distributed otherwise (JS divergence {shift.js:.2f} of 1{ks})."
        findings.add(column.name, "distribution", severity, sentence)


def _compare_unseen(
    findings: _Findings, figures: JsonObject, column: ColumnSchema, known: tuple[pl.Series, pl.Series]
) -> None:
    share, is_more_than_chance = unseen_share(*known)
    figures["unseen_share"] = share
    if is_more_than_chance:
        sentence = (
            f"{share:.1%} of the values of {column.name!r} never occurred before; they count as unknown."
        )
        findings.add(column.name, "unseen", _severity(share, _UNSEEN), sentence)


def _severity(value: float, marks: tuple[float, float, float]) -> Severity:
    return Severity(sum(value >= mark for mark in marks))


def _by_column(findings: _Findings) -> dict[str, JsonObject]:
    columns: dict[str, JsonObject] = {}
    for name in dict.fromkeys([*findings.figures, *(one.column for one in findings.found)]):
        own = [one for one in findings.found if one.column == name]
        worst = max((one.severity for one in own), default=Severity.NONE)
        columns[name] = {
            "severity": worst.word,
            **findings.figures.get(name, {}),
            "sentences": [one.sentence for one in own],
        }
    return columns
