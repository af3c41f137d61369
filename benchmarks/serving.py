"""What many heads and many views cost, as ratios measured side by side in one interleaved run.

    python -m benchmarks.serving [--rounds 15] [--threads 1] [--no-http]

A generated table (ten categorical and ten continuous columns, some cells missing), an encoder of the default size,
binary heads. In every round each case is measured once, in a new random order; a ratio is taken inside a round, so
that a busy or slow machine moves both sides. Three ways:

- service: `PredictionService.predict_json` in this process, from a parsed body to the bytes of the answer;
- http: the same request to a running service, from bytes to bytes;
- lightgbm: K separate models (100 trees of 31 leaves) on the same rows, converted once, without any service.

Figures go to standard output as Markdown and to `benchmarks/results/serving.json`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import lightgbm
import numpy as np
import orjson
import polars as pl
import torch

from app.schemas.predict import PredictRequest
from app.schemas.principal import Principal
from app.settings import Settings
from app.wiring import Container, build_container
from benchmarks.machine import describe, machine, write_results
from benchmarks.served_table import APART, CATEGORICAL, CONTINUOUS, SHARED, TABLE, ServedTable, store_table
from benchmarks.service_process import RunningService, service_process

ROWS = (1, 1_000)
CASES: dict[str, Sequence[str]] = {
    "1 head": SHARED[:1],
    "10 heads": SHARED[:10],
    "100 heads": SHARED,
    "1 view": APART[:1],
    "4 views": APART[:4],
    "16 views": APART,
}
BASE = {
    "1 head": "1 head",
    "10 heads": "1 head",
    "100 heads": "1 head",
    "1 view": "1 view",
    "4 views": "1 view",
    "16 views": "1 view",
}
REPEATS = {1: 5, 1_000: 1}  # inside one measurement: a single row is over in milliseconds


@dataclass(frozen=True)
class Measured:
    """Seconds per request, one per round."""

    way: str
    case: str
    num_rows: int
    seconds: list[float]


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(prefix="rootstock-bench-") as folder:
        settings = Settings(
            home=Path(folder) / "home", embedded_worker=False, inference_threads=arguments.threads
        )
        served = store_table(settings)
        container = build_container(settings)
        container.start()
        try:
            work = {**service_work(container, served), **lightgbm_work(served, arguments.threads)}
            if arguments.http:
                threads = {"ROOTSTOCK_INFERENCE_THREADS": str(arguments.threads)}
                service = service_process(settings.home, environment=threads)
                with service as running, httpx.Client(timeout=60.0) as http:
                    work |= http_work(http, running, served)
                    measured = measure(work, arguments.rounds)
            else:
                measured = measure(work, arguments.rounds)
        finally:
            container.stop()
            container.close()
    facts = machine()
    lines = list(markdown(measured))
    print(
        f"{describe(facts)}; {arguments.threads} inference threads, {arguments.rounds} interleaved rounds\n"
    )
    print("\n".join(lines))
    write_results("serving", {"threads": arguments.threads, "figures": figures(measured)})


Work = dict[tuple[str, str, int], Callable[[], object]]


def service_work(container: Container, served: ServedTable) -> Work:
    with container.database.reading() as uow:
        workspace = uow.workspaces.get_by_name("default")
    principal = Principal(workspace.id, workspace.name, "benchmark", frozenset({"predict"}))

    def request(body: dict[str, Any]) -> Callable[[], object]:
        return lambda: container.predictions.predict_json(
            principal, TABLE, PredictRequest.model_validate(body)
        )

    return {
        ("service", case, num_rows): request({"targets": list(targets), "rows": served.json_rows(num_rows)})
        for case, targets in CASES.items()
        for num_rows in ROWS
    }


def http_work(http: httpx.Client, service: RunningService, served: ServedTable) -> Work:
    url = f"{service.url}/v1/tables/{TABLE}/predict"
    headers = {"Authorization": f"Bearer {service.key}", "Content-Type": "application/json"}

    def request(body: dict[str, Any]) -> Callable[[], object]:
        content = orjson.dumps(body)
        return lambda: http.post(url, content=content, headers=headers).raise_for_status()

    return {
        ("http", case, num_rows): request({"targets": list(targets), "rows": served.json_rows(num_rows)})
        for case, targets in CASES.items()
        for num_rows in ROWS
    }


def lightgbm_work(served: ServedTable, num_threads: int) -> Work:
    """One model per head; the rows are made a matrix once per request and shared by all models."""
    codes = {
        name: {value: code for code, value in enumerate(served.frame[name].drop_nulls().unique())}
        for name in CATEGORICAL
    }

    stored = {**dict.fromkeys(CATEGORICAL, pl.String), **dict.fromkeys(CONTINUOUS, pl.Float64)}

    def matrix(rows: list[dict[str, Any]]) -> np.ndarray:
        frame = pl.DataFrame(rows, schema=stored).select(
            *(
                pl.col(name).replace_strict(mapping, default=None, return_dtype=pl.Float64)
                for name, mapping in codes.items()
            ),
            *CONTINUOUS,
        )
        return frame.to_numpy()

    train = matrix(served.json_rows(2_000))
    rng = np.random.default_rng(0)
    options = {"objective": "binary", "verbosity": -1, "num_threads": num_threads}
    data = lightgbm.Dataset(train, rng.integers(0, 2, len(train)), free_raw_data=False)
    boosters = []
    for number in range(len(SHARED)):
        data.set_label(np.random.default_rng(number).integers(0, 2, len(train)))
        boosters.append(lightgbm.train(options, data, num_boost_round=100))

    def request(count: int, rows: list[dict[str, Any]]) -> Callable[[], object]:
        def predict() -> list[np.ndarray]:
            features = matrix(rows)
            return [
                np.asarray(booster.predict(features, num_threads=num_threads)) for booster in boosters[:count]
            ]

        return predict

    return {
        ("lightgbm", case, num_rows): request(len(CASES[case]), served.json_rows(num_rows))
        for case in ("1 head", "10 heads", "100 heads")
        for num_rows in ROWS
    }


def measure(work: Work, num_rounds: int) -> list[Measured]:
    """Every case once per round, in random order; the first round only warms up."""
    order = random.Random(0)
    seconds: dict[tuple[str, str, int], list[float]] = {name: [] for name in work}
    for round_ in range(num_rounds + 1):
        names = list(work)
        order.shuffle(names)
        for name in names:
            repeats = REPEATS[name[2]]
            began_at = time.perf_counter()
            for _ in range(repeats):
                work[name]()
            if round_:
                seconds[name].append((time.perf_counter() - began_at) / repeats)
    return [Measured(*name, taken) for name, taken in seconds.items()]


def figures(measured: list[Measured]) -> list[dict[str, Any]]:
    """Milliseconds (median, 10th and 90th percentile) and ratios, taken round by round, of every case."""
    seconds = {(one.way, one.case, one.num_rows): np.array(one.seconds) for one in measured}
    found = []
    for (way, case, num_rows), taken in seconds.items():
        entry: dict[str, Any] = {"way": way, "case": case, "rows": num_rows, "ms": _spread(taken * 1e3)}
        entry["to_one"] = _spread(taken / seconds[way, BASE[case], num_rows])
        if way != "lightgbm" and ("lightgbm", case, num_rows) in seconds:
            entry["to_lightgbm"] = _spread(taken / seconds["lightgbm", case, num_rows])
        found.append(entry)
    return found


def markdown(measured: list[Measured]) -> list[str]:
    lines = [
        "| rows | case | way | ms, median [p10, p90] | times one head or view | times K LightGBM models |",
        "|---|---|---|---|---|---|",
    ]
    ways = {"service": 0, "http": 1, "lightgbm": 2}
    entries = sorted(
        figures(measured),
        key=lambda entry: (entry["rows"], list(CASES).index(entry["case"]), ways[entry["way"]]),
    )
    for entry in entries:
        ratio = _text(entry["to_lightgbm"]) if "to_lightgbm" in entry else "—"
        lines.append(
            f"| {entry['rows']:,} | {entry['case']} | {entry['way']} | {_text(entry['ms'])} "
            f"| {_text(entry['to_one'])} | {ratio} |"
        )
    return lines


def _spread(values: np.ndarray) -> dict[str, float]:
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
    return {"median": float(median), "p10": float(low), "p90": float(high)}


def _text(spread: dict[str, float]) -> str:
    return f"{spread['median']:.2f} [{spread['p10']:.2f}, {spread['p90']:.2f}]"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--threads", type=int, default=1, help="torch threads of the inference lane, and LightGBM's"
    )
    parser.add_argument("--no-http", dest="http", action="store_false")
    return parser.parse_args()


if __name__ == "__main__":
    main()
