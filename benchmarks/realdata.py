"""Real tables through a running service: register from file, pretrain, fine-tune, one request for all targets.

    python -m benchmarks.realdata --data DIR [--tables a,b] [--pretrain-seconds 60] [--every-target]

`DIR/manifest.json` names tables, their targets and columns to beware of; nothing is special-cased by name. A key
that repeats becomes the group. Of every task the first target is taken (all of them with `--every-target`); they get
the role `target`, and the columns to beware of are forbidden for each. The service is started on a home of its own
and stopped at the end; figures go to standard output as Markdown and to `benchmarks/results/realdata.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.machine import describe, machine, write_results
from benchmarks.service_process import service_process
from rootstock_client import Client

HEADLINE = {"binary": "auc", "multiclass": "macro_auc", "regression": "r2"}
NUM_PREDICTED_ROWS = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one table."""

    table: str
    num_rows: int
    seconds: dict[str, float]
    heads: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


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
            outcome = run_table(client, arguments, entry)
            outcomes.append(outcome)
            sys.stderr.write(f"{outcome.table}: {outcome.seconds}\n")
    print(f"{describe(machine())}; pretraining at most {arguments.pretrain_seconds:g} s\n")
    print("\n".join(markdown(outcomes)))
    write_results("realdata", {"tables": [vars(outcome) for outcome in outcomes]})


def run_table(client: Client, arguments: argparse.Namespace, entry: dict[str, Any]) -> Outcome:
    """Register, pretrain, fine-tune and predict one table of the manifest."""
    path = arguments.data / entry["file"]
    targets = chosen_targets(entry, every=arguments.every_target)
    name = entry["name"].lower()
    roles = key_roles(path, entry)
    seconds: dict[str, float] = {}
    with timed(seconds, "register"):
        job = client.register(name, path, targets=[target["column"] for target in targets], **roles)
        registered = client.wait(job)
    with timed(seconds, "pretrain"):
        client.wait(client.pretrain(name, max_seconds=arguments.pretrain_seconds))
    beware = [item["column"] for item in entry["beware"]]
    names = {}
    for target in targets:
        names[target["column"]] = target_name(target["column"])
        client.create_target(
            name,
            names[target["column"]],
            column=target["column"],
            task=target["task"],
            forbidden_columns=[column for column in beware if column != target["column"]],
        )
    with timed(seconds, "fine-tune"):
        finished = client.wait(client.finetune(name, list(names.values()), max_labels=arguments.labels))
    rows = pl.read_parquet(path, n_rows=NUM_PREDICTED_ROWS)
    dropped = [column for column in rows.columns if column in roles.get("drop", ())]
    with timed(seconds, "predict"):
        answer = client.predict(name, [f"{target}:1" for target in names.values()], rows=rows.drop(dropped))
    assert len(answer.predictions) == len(names)
    heads = [client.head(name, target, 1) | {"target": target} for target in names.values()]
    result = registered.result or {}
    return Outcome(
        entry["name"],
        result.get("num_rows", 0),
        seconds,
        [head_summary(head, finished.result or {}) for head in heads],
        list(result.get("warnings", [])),
    )


def chosen_targets(entry: dict[str, Any], *, every: bool) -> list[dict[str, Any]]:
    if every:
        return list(entry["targets"])
    first: dict[str, dict[str, Any]] = {}
    for target in entry["targets"]:
        first.setdefault(target["task"], target)
    return list(first.values())


def key_roles(path: Path, entry: dict[str, Any]) -> dict[str, list[str]]:
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


def head_summary(head: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    reasons = {item["target"]: item.get("alias_reason") for item in result.get("heads", [])}
    metrics = head.get("metrics") or {}
    metric = next((name for name in HEADLINE.values() if name in metrics), None)
    return {
        "target": head["target"],
        "status": head["status"],
        "metric": metric,
        "head": metrics.get(metric) if metric else None,
        "holdout": (metrics.get("holdout") or {}).get(metric),
        "baselines": {name: values.get(metric) for name, values in (head.get("baselines") or {}).items()},
        "verdict": head.get("verdict"),
        "alias": reasons.get(head["target"]),
    }


def markdown(outcomes: list[Outcome]) -> Iterator[str]:
    yield "| table | rows | register s | pretrain s | fine-tune s | target | metric | head | baselines | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for outcome in outcomes:
        times = " | ".join(f"{outcome.seconds[step]:.1f}" for step in ("register", "pretrain", "fine-tune"))
        for head in outcome.heads:
            beside = ", ".join(f"{name} {interval(value)}" for name, value in head["baselines"].items())
            yield (
                f"| {outcome.table} | {outcome.num_rows:,} | {times} | {head['target']} | {head['metric']} "
                f"| {interval(head['head'])} | {beside} | {head['verdict']} |"
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DATA", "../shared/data")))
    parser.add_argument("--tables", default="", help="names of the manifest, with commas; by default all")
    parser.add_argument("--pretrain-seconds", type=float, default=60.0)
    parser.add_argument("--labels", type=int, default=None, help="labels per target; by default all")
    parser.add_argument("--every-target", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / "manifest.json").is_file():
        raise SystemExit("no folder of real tables: set DATA=dir to one with a manifest.json")
    return arguments


if __name__ == "__main__":
    main()
