"""How long a new target takes, from its labels to a served prediction, per head kind.

    python -m benchmarks.new_target [--data DIR] [--table bank_marketing --target y] [--labels 500]

One table is registered and pretrained through a service of its own. Then, for each head kind and a few times over, a new
target gets labels by key and a fine-tune; the clock runs from sending the labels to the answer of the first predict
request. The target's column has the role `target`, so the encoder never saw it. Seconds are of this machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.data_folder import parsed_with_data, parser_with_data
from benchmarks.machine import describe, machine, write_results
from benchmarks.quality.manifest import read_manifest
from benchmarks.quality.tables import load_study
from benchmarks.service_process import service_process
from models.features.schema import Task
from rootstock_client import Client

KINDS = ("linear", "auto")
PRETRAIN_S = 30.0
REPEATS = 3
NAME = "customers"
KEY = "row_key"


@dataclass(frozen=True)
class Taken:
    """Median seconds of the whole, and of the job alone, of one head kind."""

    kind: str
    seconds: float
    job_seconds: float
    fitted_kind: str
    verdict: str


def main() -> None:
    arguments = _arguments()
    entry = read_manifest(arguments.data)[arguments.table]
    study = load_study(arguments.data, entry, arguments.target)
    if study.task is Task.REGRESSION:
        values: list[object] = study.labels.tolist()
    else:
        values = [None if np.isnan(label) else study.classes[int(label)] for label in study.labels]
    keys = [f"r{row}" for row in range(study.frame.height)]
    frame = study.frame.with_columns(pl.Series(KEY, keys))
    labelled = np.flatnonzero(~np.isnan(study.labels))
    with (
        tempfile.TemporaryDirectory(prefix="rootstock-new-target-") as folder,
        service_process(Path(folder) / "home", ready_s=180.0) as service,
        Client(service.url, service.key) as client,
    ):
        client.wait(client.register(NAME, frame, key=KEY))
        client.wait(client.pretrain(NAME, max_seconds=arguments.pretrain_seconds))
        found = []
        for kind in arguments.kinds.split(","):
            runs = []
            for repeat in range(REPEATS):
                rows = np.random.default_rng(repeat).choice(labelled, arguments.labels, replace=False)
                labels = [{"key": keys[row], "value": values[row]} for row in rows]
                runs.append(_new_target(client, f"{kind}-{repeat}", kind, str(study.task), labels))
                sys.stderr.write(f"{kind}: {runs[-1].seconds:.2f} s\n")
            middle = statistics.median(run.seconds for run in runs)
            found.append(next(run for run in runs if run.seconds == middle))
    print(f"\n{describe(machine())}\n")
    print("| head kind | labels to served prediction, s | of it the job, s | fitted |")
    print("|---|---|---|---|")
    for taken in found:
        print(f"| {taken.kind} | {taken.seconds:.2f} | {taken.job_seconds:.2f} | {taken.fitted_kind} |")
    body = {"table": arguments.table, "labels": arguments.labels, "kinds": [asdict(taken) for taken in found]}
    write_results(f"new_target_{arguments.table}_{arguments.labels}", body)


def _new_target(client: Client, name: str, kind: str, task: str, labels: list[dict[str, object]]) -> Taken:
    client.create_target(NAME, name, task=task)
    started = time.monotonic()
    client.label(NAME, name, labels)
    job = client.wait(client.finetune(NAME, name, head=kind))
    client.predict(NAME, [f"{name}:1"], keys=[str(labels[0]["key"])])
    seconds = time.monotonic() - started
    head = client.head(NAME, name, 1)
    result = job.result or {}
    return Taken(kind, seconds, float(result["seconds"]), str(head["kind"]), str(head["verdict"]))


def _arguments() -> argparse.Namespace:
    parser = parser_with_data(__doc__)
    parser.add_argument("--table", default="bank_marketing")
    parser.add_argument("--target", default="y")
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--pretrain-seconds", type=float, default=PRETRAIN_S)
    return parsed_with_data(parser)


if __name__ == "__main__":
    main()
