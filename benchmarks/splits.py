"""What an honest split changes: the same table and target, split by group or by time, beside a naive split by row.

    python -m benchmarks.splits --data DIR [--case TABLE:TARGET:by=COLUMN[+COLUMN+COLUMN] ...]

`by` is `group` (rows of one value stay together) or `time` (the latest rows evaluate). A time given as several columns
is year, month (a name or a number) and day, put together into one date, because some tables have no column that says
when a row was known. The manifest's columns to beware of are forbidden in both variants. Per variant one encoder and
one head; both the out-of-fold and the hold-out figures are shown, because what differs is how far the first can be
trusted. Figures go to standard output as Markdown and to `benchmarks/results/splits.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from benchmarks.data_folder import parsed_with_data, parser_with_data
from benchmarks.machine import describe, machine, write_results
from benchmarks.realdata import HEADLINE, interval, running_service, target_name
from rootstock_client import Client

CASES = (
    "diabetes_readmission:readmitted:group=patient_nbr",
    "bike_sharing_hour:cnt:time=dteday",
    "hotel_bookings:is_canceled:time=arrival_date_year+arrival_date_month+arrival_date_day_of_month",
)
TIME_COLUMN = "benchmark_date"


@dataclass(frozen=True)
class Case:
    table: str
    target: str
    by: Literal["group", "time"]
    columns: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Case:
        try:
            table, target, rule = text.split(":")
            by, _, columns = rule.partition("=")
        except ValueError:
            raise SystemExit(f"a case is TABLE:TARGET:by=COLUMN; received {text!r}") from None
        if by == "group":
            return cls(table, target, "group", tuple(columns.split("+")))
        if by == "time":
            return cls(table, target, "time", tuple(columns.split("+")))
        raise SystemExit(f"a table is split by group or time; received {by!r}")


@dataclass(frozen=True)
class Variant:
    """One head under one split."""

    table: str
    target: str
    split: str
    num_train: int
    num_evaluation: int
    metric: str
    head: dict[str, dict[str, Any] | None]  # out_of_fold and holdout
    lightgbm: dict[str, dict[str, Any] | None]
    verdict: str | None


def main() -> None:
    arguments = _arguments()
    manifest = json.loads((arguments.data / "manifest.json").read_text())
    entries = {entry["name"]: entry for entry in manifest["tables"]}
    variants: list[Variant] = []
    with tempfile.TemporaryDirectory() as home, running_service(Path(home)) as client:
        for case in map(Case.parse, arguments.case or CASES):
            frame = _frame(arguments.data / entries[case.table]["file"], case)
            for split in ("row", case.by):
                variants.append(_run(client, arguments, entries[case.table], case, frame, split))
                write_results("splits", {"variants": [asdict(variant) for variant in variants]})
    print(f"\n{describe(machine())}; pretraining at most {arguments.pretrain_seconds:g} s\n")
    print("\n".join(markdown(variants)))


def _run(
    client: Client,
    arguments: argparse.Namespace,
    entry: dict[str, Any],
    case: Case,
    frame: pl.DataFrame,
    split: str,
) -> Variant:
    name = f"{case.table}-by-{split}"
    column = TIME_COLUMN if case.by == "time" and len(case.columns) > 1 else case.columns[0]
    # The naive variant drops the column: as a feature it would tell which rows belong together.
    roles: dict[str, Any] = {"drop": [column]} if split == "row" else {case.by: [column]}
    client.wait(
        client.register(
            name,
            frame,
            targets=[case.target],
            split=split,
            evaluation_fraction=arguments.evaluation_fraction,
            **roles,
        )
    )
    client.wait(client.pretrain(name, max_seconds=arguments.pretrain_seconds))
    (described,) = (target for target in entry["targets"] if target["column"] == case.target)
    stored = set(frame.columns) - set(roles.get("drop", ()))
    client.create_target(
        name,
        target_name(case.target),
        column=case.target,
        task=described["task"],
        forbidden_columns=[
            item["column"] for item in entry["beware"] if item["column"] in stored - {case.target}
        ],
    )
    client.wait(client.finetune(name, [target_name(case.target)], max_seconds=arguments.finetune_seconds))
    head = client.head(name, target_name(case.target), 1)
    sides = client.profile(name)["splits"]
    metric = HEADLINE[described["task"]]
    return Variant(
        case.table,
        case.target,
        split,
        sides["train"],
        sides["evaluation"],
        metric,
        _both(head["metrics"], metric),
        _both((head["baselines"] or {}).get("lightgbm"), metric),
        head["verdict"],
    )


def _frame(path: Path, case: Case) -> pl.DataFrame:
    frame = pl.read_parquet(path)
    if case.by == "group" or len(case.columns) == 1:
        return frame
    year, month, day = (pl.col(column).cast(pl.String) for column in case.columns)
    text = pl.concat_str(year, month, day, separator="-")
    date = pl.coalesce(text.str.to_date("%Y-%B-%d", strict=False), text.str.to_date("%Y-%m-%d", strict=False))
    return frame.with_columns(date.alias(TIME_COLUMN))


def _both(metrics: dict[str, Any] | None, metric: str) -> dict[str, dict[str, Any] | None]:
    found = metrics or {}
    return {"out_of_fold": found.get(metric), "holdout": (found.get("holdout") or {}).get(metric)}


def markdown(variants: list[Variant]) -> Iterator[str]:
    yield (
        "| table | target | split | train rows | evaluation rows | metric | head, out of fold | head, hold-out "
        "| LightGBM, out of fold | LightGBM, hold-out |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for variant in variants:
        yield (
            f"| {variant.table} | {variant.target} | {variant.split} | {variant.num_train:,} "
            f"| {variant.num_evaluation:,} | {variant.metric} | {interval(variant.head['out_of_fold'])} "
            f"| {interval(variant.head['holdout'])} | {interval(variant.lightgbm['out_of_fold'])} "
            f"| {interval(variant.lightgbm['holdout'])} |"
        )


def _arguments() -> argparse.Namespace:
    parser = parser_with_data(__doc__)
    parser.add_argument("--case", action="append", help=f"by default {', '.join(CASES)}")
    parser.add_argument("--pretrain-seconds", type=float, default=60.0)
    parser.add_argument("--finetune-seconds", type=float, default=60.0)
    parser.add_argument("--evaluation-fraction", type=float, default=0.2)
    return parsed_with_data(parser)


if __name__ == "__main__":
    main()
