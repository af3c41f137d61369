"""What the split of a snapshot came to: shares, times, groups that straddle."""

from __future__ import annotations

from typing import Any

import polars as pl

from models.errors import SchemaError
from models.features.schema import SPLIT_COLUMN, Role, SplitRule, TableSchema
from models.features.splits import EVALUATION, TRAIN
from models.features.time_split import instants_of

JsonObject = dict[str, Any]

_GROWN, _LARGE = 1.25, 0.25  # times the share that was asked for, and a share that costs training rows
_MIN_ROWS = 200  # below it shares are far off by chance


def split_report(frame: pl.DataFrame, schema: TableSchema, rule: SplitRule) -> JsonObject:
    """`frame`: the columns of a snapshot with `_split`.

    {"by", "cutoff", "evaluation_fraction", "sides": {"train" | "evaluation": {"rows", "share", "time": [first,
    last]?}}, "groups"?, "straddling_groups"?, "warnings"}
    """
    sides: JsonObject = {}
    for side in (TRAIN, EVALUATION):
        num_rows = int((frame[SPLIT_COLUMN] == side).sum())
        sides[side] = {"rows": num_rows, "share": num_rows / max(frame.height, 1)}
    _add_times(sides, frame, schema)
    report: JsonObject = {
        "by": rule.by,
        "cutoff": rule.cutoff,
        "evaluation_fraction": rule.evaluation_fraction,
        "sides": sides,
    }
    report |= _groups(frame, schema)
    report["warnings"] = _warnings(report, rule, frame.height)
    return report


def _add_times(sides: JsonObject, frame: pl.DataFrame, schema: TableSchema) -> None:
    try:
        instants = instants_of(frame, schema.model_copy(update={"columns": schema.with_role(Role.TIME)}))
    except SchemaError:  # no time column, or one that is none: only a split by time needs it
        return
    for side, entry in sides.items():
        known = instants.filter(frame[SPLIT_COLUMN] == side).drop_nulls()
        if len(known):
            entry["time"] = [_json_time(known.min()), _json_time(known.max())]


def _groups(frame: pl.DataFrame, schema: TableSchema) -> JsonObject:
    group = schema.with_role(Role.GROUP)
    if not group:
        return {}
    sides = (
        frame.select(pl.col(group[0].name).alias("group"), SPLIT_COLUMN)
        .drop_nulls()
        .group_by("group")
        .agg(pl.col(SPLIT_COLUMN).n_unique())
    )
    return {"groups": sides.height, "straddling_groups": int((sides[SPLIT_COLUMN] > 1).sum())}


def _warnings(report: JsonObject, rule: SplitRule, num_rows: int) -> list[str]:
    warnings = []
    if straddling := report.get("straddling_groups", 0):
        warnings.append(
            f"{straddling:,} of {report['groups']:,} groups have rows on both sides of the split: hold-out metrics may "
            "be too good. A split by group keeps them together."
        )
    share = report["sides"][EVALUATION]["share"]
    if rule.by == "time" and num_rows >= _MIN_ROWS and share > max(_GROWN * rule.evaluation_fraction, _LARGE):
        warnings.append(
            f"{share:.0%} of the rows are at or after the cutoff of the split and evaluate; they grow with every snapshot. "
            "To train on them, send the next snapshot with a later cutoff, which counts for new rows, or register the "
            "table again."
        )
    return warnings


def _json_time(value: object) -> object:
    return value if isinstance(value, int | float) else str(value)
