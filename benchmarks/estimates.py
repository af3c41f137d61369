"""What jobs took beside what was estimated when they were queued: how to calibrate `app.services.estimates`.

    python -m benchmarks.estimates [--small]

Generated tables of several sizes are registered, pretrained and fine-tuned through a service of its own. A ratio above
one means that the job took more than was estimated. Figures go to standard output as Markdown and to
`benchmarks/results/estimates.json`; the exit status is 1 when a ratio leaves the factor that the estimates promise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.machine import describe, machine, write_results
from benchmarks.service_process import service_process
from rootstock_client import Client, Job

PROMISED_FACTOR = 3.0
SMALL = ((500, 8), (5_000, 8))
SIZES = (*SMALL, (5_000, 40), (50_000, 8), (50_000, 30))
LABELS = (200, 3_000)
PRETRAIN_S = 15.0
FINETUNE_S = 20.0
TRIFLE_S = 3.0  # jobs that are over sooner are not held to the promise: starting them is most of it


@dataclass(frozen=True)
class Compared:
    job: str
    num_rows: int
    num_columns: int
    estimated_s: float
    took_s: float
    estimated_bytes: int
    peak_bytes: int

    @property
    def ratios(self) -> tuple[float, float]:
        return self.took_s / max(self.estimated_s, 1e-9), self.peak_bytes / max(self.estimated_bytes, 1)

    @property
    def is_as_promised(self) -> bool:
        seconds, memory = self.ratios
        is_trifle = max(self.took_s, self.estimated_s) < TRIFLE_S
        return (is_trifle or _is_within(seconds)) and _is_within(memory)


def _is_within(ratio: float) -> bool:
    return 1 / PROMISED_FACTOR <= ratio <= PROMISED_FACTOR


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--small", action="store_true", help="only the two smallest tables")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="rootstock-estimates-") as folder,
        service_process(Path(folder) / "home", ready_s=180.0) as service,
        Client(service.url, service.key) as client,
    ):
        found = [
            compared
            for size in (SMALL if arguments.small else SIZES)
            for compared in measure(client, Path(folder), *size)
        ]
    print(f"\n{describe(machine())}\n")
    print("| job | rows | columns | estimated s | took s | ratio | estimated MiB | peak MiB | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    for one in found:
        seconds, memory = one.ratios
        print(
            f"| {one.job} | {one.num_rows:,} | {one.num_columns} | {one.estimated_s:.1f} | {one.took_s:.1f} | "
            f"{seconds:.2f} | {one.estimated_bytes >> 20:,} | {one.peak_bytes >> 20:,} | {memory:.2f} |"
        )
    write_results("estimates", {"jobs": [asdict(one) for one in found]})
    sys.exit(0 if all(one.is_as_promised for one in found) else 1)


def measure(client: Client, folder: Path, num_rows: int, num_columns: int) -> list[Compared]:
    """All jobs of one table."""
    name = f"t{num_rows}x{num_columns}"
    file = folder / f"{name}.csv"
    make_table(num_rows, num_columns).write_csv(file)

    def ended(job: Job, what: str) -> Compared:
        print(f"{name}: {what}", file=sys.stderr)
        done = client.wait(job)
        estimate, result = done.estimate or {}, done.result or {}
        return Compared(
            what,
            num_rows,
            num_columns,
            estimate["seconds"],
            result["seconds"],
            estimate["memory_bytes"],
            result["peak_memory_bytes"],
        )

    columns = {"id": {"role": "key"}, "answer": {"role": "target"}}
    found = [ended(client.register(name, file, columns=columns), "ingest")]
    found.append(ended(client.pretrain(name, max_seconds=PRETRAIN_S), "pretrain"))
    client.create_target(name, "answer", column="answer")
    for limit in LABELS:
        if limit < num_rows:
            job = client.finetune(name, "answer", max_labels=limit, max_seconds=FINETUNE_S)
            found.append(ended(job, f"finetune, {limit:,} labels"))
    client.delete_table(name)
    return found


def make_table(num_rows: int, num_columns: int) -> pl.DataFrame:
    """A key, half categories and half numbers, and an answer that two of them tell."""
    rng = np.random.default_rng(0)
    columns: dict[str, object] = {"id": [f"row-{row}" for row in range(num_rows)]}
    for number in range(num_columns):
        if number % 2:
            columns[f"number_{number}"] = rng.lognormal(3.0, 1.0, num_rows).round(3)
        else:
            columns[f"category_{number}"] = [f"value {v}" for v in rng.integers(0, 5 + 7 * number, num_rows)]
    first, second = rng.normal(size=num_rows), np.asarray(columns["number_1"])
    columns["answer"] = np.where(first + np.log(second) > 3.0, "yes", "no")
    return pl.DataFrame(columns)


if __name__ == "__main__":
    main()
