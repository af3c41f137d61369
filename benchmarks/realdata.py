"""Real tables through a running service: register from file, pretrain, fine-tune, one request for all targets.

    python -m benchmarks.realdata --data DIR [--tables a,b] [--pretrain-seconds 60] [--finetune-seconds 60]

`DIR/manifest.json` names tables, their targets and columns to beware of; nothing is special-cased by name. Every
target of a table is fitted in one job and served by one request. The first gets the role `target`, so that the
encoder never sees it; the others stay ordinary columns with views of their own, and are judged on the hold-out. A key
that repeats becomes the group; columns to beware of are forbidden for each target. A table that fails is reported,
the others go on, and the exit status is 1. The service is started on a home of its own and stopped at the end;
figures go to standard output as Markdown and to `benchmarks/results/realdata.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import polars as pl

from benchmarks.data_folder import parsed_with_data, parser_with_data
from benchmarks.machine import describe, machine, write_results
from benchmarks.service_process import service_process
from rootstock_client import Client, RootstockError

HEADLINE = {"binary": "auc", "multiclass": "macro_auc", "regression": "r2"}
NUM_PREDICTED_ROWS = 5
STEPS = ("register", "pretrain", "fine-tune", "predict")


@dataclass
class Outcome:
    """What became of one table; `failure` in words where a step failed."""

    table: str
    num_rows: int = 0
    num_columns: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    heads: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failure: str | None = None

    @property
    def num_served(self) -> int:
        return sum(head["is_served"] for head in self.heads)


def main() -> None:
    arguments = _arguments()
    manifest = json.loads((arguments.data / "manifest.json").read_text())
    wanted = set(arguments.tables.split(",")) if arguments.tables else None
    entries = [entry for entry in manifest["tables"] if wanted is None or entry["name"] in wanted]
    if not entries:
        raise SystemExit(f"no table of the manifest has one of these names: {arguments.tables}")
    outcomes = []
    with tempfile.TemporaryDirectory() as home, running_service(Path(home)) as client:
        for entry in entries:
            outcome = Outcome(entry["name"], entry["rows"], entry["columns"])
            outcomes.append(outcome)
            try:
                run_table(client, arguments, entry, outcome)
            except RootstockError as error:
                outcome.failure = str(error)
            sys.stderr.write(f"{outcome.table}: {outcome.seconds} {outcome.failure or ''}\n")
            write_results("realdata", {"tables": [vars(outcome) for outcome in outcomes]})
    print(f"\n{describe(machine())}; pretraining at most {arguments.pretrain_seconds:g} s a table\n")
    print("\n".join(table_summary(outcomes)), "\n")
    print("\n".join(target_summary(outcomes)))
    num_targets = sum(len(chosen_targets(entry, arguments)) for entry in entries)
    num_served = sum(outcome.num_served for outcome in outcomes)
    print(f"\n{num_served} of {num_targets} targets of {len(entries)} tables are served")
    if num_served < num_targets:
        raise SystemExit(1)


def run_table(client: Client, arguments: argparse.Namespace, entry: dict[str, Any], outcome: Outcome) -> None:
    """Register, pretrain, fine-tune and predict one table of the manifest; fills in `outcome` as it goes."""
    path = arguments.data / entry["file"]
    targets = chosen_targets(entry, arguments)
    name = "".join(letter if letter.isalnum() else "_" for letter in entry["name"].lower())
    with timed(outcome.seconds, "register"):
        job = client.register(name, path, targets=[targets[0]["column"]], **key_roles(path, entry))
        registered = client.wait(job).result or {}
    outcome.num_rows = registered.get("num_rows", 0)
    outcome.warnings = list(registered.get("warnings", []))
    with timed(outcome.seconds, "pretrain"):
        client.wait(client.pretrain(name, max_seconds=arguments.pretrain_seconds))
    beware = [item["column"] for item in entry["beware"]]
    names = [target_name(target["column"]) for target in targets]
    for target, target_id in zip(targets, names, strict=True):
        client.create_target(
            name,
            target_id,
            column=target["column"],
            task=target["task"],
            forbidden_columns=[column for column in beware if column != target["column"]],
        )
    with timed(outcome.seconds, "fine-tune"):
        job = client.finetune(
            name, names, max_labels=arguments.labels, max_seconds=arguments.finetune_seconds
        )
        finished = client.wait(job).result or {}
    heads = [client.head(name, target, 1) | {"target": target} for target in names]
    ready = [f"{head['target']}:1" for head in heads if head["status"] == "ready"]
    rows = pl.read_parquet(path, n_rows=NUM_PREDICTED_ROWS)
    with timed(outcome.seconds, "predict"):
        served = client.predict(name, ready, rows=rows).predictions if ready else {}
    outcome.heads = [
        head_summary(
            head, target, finished, is_served=head["target"] in {name.split(":")[0] for name in served}
        )
        for head, target in zip(heads, targets, strict=True)
    ]


def chosen_targets(entry: dict[str, Any], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All targets of the manifest, or the first of every task."""
    if not arguments.first_of_each_task:
        return list(entry["targets"])
    first: dict[str, dict[str, Any]] = {}
    for target in entry["targets"]:
        first.setdefault(target["task"], target)
    return list(first.values())


class KeyRoles(TypedDict, total=False):
    key: list[str]
    group: list[str]


def key_roles(path: Path, entry: dict[str, Any]) -> KeyRoles:
    """The manifest's key as key, or as group where it repeats."""
    key = entry.get("key")
    if key is None:
        return {}
    repeats = pl.scan_parquet(path).select(pl.col(key).is_duplicated().any()).collect().item()
    return {"group": [key]} if repeats else {"key": [key]}


def target_name(column: str) -> str:
    """A target's name from a column's: lower case, other characters than letters and digits as dashes."""
    return "".join(
        letter if letter.isalnum() and letter.isascii() else "-" for letter in column.lower()
    ).strip("-")


def head_summary(
    head: Mapping[str, Any], target: dict[str, Any], result: Mapping[str, Any], *, is_served: bool
) -> dict[str, Any]:
    reasons = {item["target"]: item.get("alias_reason") for item in result.get("heads", [])}
    metric = HEADLINE[target["task"]]
    return {
        "target": head["target"],
        "task": target["task"],
        "status": head["status"],
        "is_served": is_served,
        "seen_in_pretraining": head["seen_in_pretraining"],
        "metric": metric,
        "head": estimate(head.get("metrics"), metric),
        "baselines": {
            name: estimate(values, metric) for name, values in (head.get("baselines") or {}).items()
        },
        "verdict": head.get("verdict"),
        "alias": reasons.get(head["target"]),
        "error": head.get("error"),
    }


def estimate(metrics: dict[str, Any] | None, metric: str) -> dict[str, Any] | None:
    """The out-of-fold estimate, or the hold-out's where only that is honest."""
    found = (metrics or {}).get(metric) or ((metrics or {}).get("holdout") or {}).get(metric)
    return found if isinstance(found, dict) else None


def table_summary(outcomes: list[Outcome]) -> Iterator[str]:
    yield f"| table | rows | columns | {' | '.join(f'{step} s' for step in STEPS)} | served | failure |"
    yield f"|---|---|---|{'---|' * len(STEPS)}---|---|"
    for outcome in outcomes:
        times = " | ".join(
            f"{outcome.seconds[step]:.1f}" if step in outcome.seconds else "—" for step in STEPS
        )
        yield (
            f"| {outcome.table} | {outcome.num_rows:,} | {outcome.num_columns} | {times} "
            f"| {outcome.num_served} of {len(outcome.heads)} | {outcome.failure or ''} |"
        )


def target_summary(outcomes: list[Outcome]) -> Iterator[str]:
    yield "| table | target | task | metric | judged on | head | baselines | verdict |"
    yield "|---|---|---|---|---|---|---|---|"
    for outcome in outcomes:
        for head in outcome.heads:
            beside = ", ".join(f"{name} {interval(value)}" for name, value in head["baselines"].items())
            judged = ((head["head"] or {}).get("on") or "—").replace("_", " ")
            said = head["verdict"] or (head["error"] or {}).get("message", "")
            yield (
                f"| {outcome.table} | {head['target']} | {head['task']} | {head['metric']} | {judged} "
                f"| {interval(head['head'])} | {beside} | {said} |"
            )


def interval(value: dict[str, Any] | None) -> str:
    if value is None or value.get("value") is None:
        return "—"
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


@contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[step] = round(time.perf_counter() - began, 2)


@contextmanager
def running_service(home: Path) -> Iterator[Client]:
    """A client of a service and its worker on `home`."""
    with service_process(home) as service, Client(service.url, key=service.key) as client:
        yield client


def _arguments() -> argparse.Namespace:
    parser = parser_with_data(__doc__)
    parser.add_argument("--tables", default="", help="names of the manifest, with commas; by default all")
    parser.add_argument("--pretrain-seconds", type=float, default=60.0)
    parser.add_argument("--labels", type=int, default=None, help="labels per target; by default all")
    parser.add_argument("--finetune-seconds", type=float, default=60.0, help="for all targets of a table")
    parser.add_argument("--first-of-each-task", action="store_true", help="instead of every target")
    return parsed_with_data(parser)


if __name__ == "__main__":
    main()
