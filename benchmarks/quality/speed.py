"""How fast pretraining is, beside other implementations of the same shape, on one thread.

    python -m benchmarks.quality.speed [--quick] [--tables bank_marketing,jasmine] [--systems ours,plain] [--shapes d32,d64]

Ours is the step that pretraining takes (`PretrainingRun.train_step`: damage, encoder, losses of masked cells, backward
pass, optimiser). Beside it, in one process and in turns: a plain `nn.TransformerEncoder`, and packages that are
installed (a line says which are not). Seconds are processor time of the process, so that work of others on the machine
counts little; ratios are taken turn by turn. The share of the matrix-product rate counts the arithmetic of the model's
products (see `flops_per_row`), not what an implementation spends, against a large float32 product measured in turn too.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.machine import describe, machine, write_results
from benchmarks.quality.speed_rivals import RIVALS, Shape, SpeedTable, Step, Unavailable
from models.encoders import ColumnTransformerConfig
from models.features.codec import Codec
from models.features.schema import ColumnKind, ColumnSchema, TableSchema
from models.objectives import DEFAULT
from models.objectives.corruption import COLUMN_DROPOUT_BATCHES, MAX_DROPPED_SHARE
from models.training.freed_memory import keep_freed_memory
from models.training.pretraining_plan import PretrainingData
from models.training.pretraining_run import PretrainingRun

OURS = "ours"
SHAPES = {
    "d32": Shape("d32", d_model=32, num_layers=3, num_heads=4, batch_rows=256),
    "d64": Shape("d64", d_model=64, num_layers=4, num_heads=8, batch_rows=1024),
}
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "tables"
NUM_ROWS = 6_000  # of a table, at most: enough for several batches
SYNTHETIC_COLUMNS = 320
SYNTHETIC_ROWS = 3_000
WIDE_TOKENS = 40_000  # batches of wide tables are cut to about as many tokens: the memory of naive attention
PRODUCT_SIZE = 1024
WIDE_COLUMNS = 100  # from here on one shape and a few turns: a step of others takes seconds
WIDE_TURNS = 3
SLOW_S = 2.0  # a system whose step takes longer has one turn
MIN_TURN_S = 0.4  # steps are repeated until a turn takes about as long


@dataclass
class Timing:
    """Seconds per step of one system, one entry per turn."""

    table: str
    shape: str
    system: str
    about: str
    batch_rows: int
    num_columns: int
    flops_per_row: float
    seconds: list[float] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float:
        return self.batch_rows / statistics.median(self.seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="three turns, the narrow table only")
    parser.add_argument("--tables", default="bank_marketing,jasmine,synthetic")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--systems", default=",".join([OURS, *RIVALS]))
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--data", type=Path, default=DATA, help="folder of Parquet files")
    arguments = parser.parse_args()
    names = ["bank_marketing"] if arguments.quick else arguments.tables.split(",")
    turns = 3 if arguments.quick else arguments.turns
    run(
        names,
        [SHAPES[name] for name in arguments.shapes.split(",")],
        arguments.systems.split(","),
        turns=turns,
        data=arguments.data,
    )


def run(
    tables: Sequence[str], shapes: Sequence[Shape], systems: Sequence[str], *, turns: int, data: Path = DATA
) -> list[str]:
    """Measure, print and write the results; returns the lines of Markdown."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as pretraining does; the others have the advantage too
    timings: list[Timing] = []
    product_rates: dict[str, float] = {}
    absent: set[str] = set()
    for name in tables:
        table = load_table(name, data)
        is_wide = len(table.codec.columns) >= WIDE_COLUMNS
        for given in shapes[:1] if is_wide else shapes:
            shape = given.fitted_to(len(table.codec.columns), WIDE_TOKENS)
            found, rate = _compare(
                table, shape, systems, min(turns, WIDE_TURNS) if is_wide else turns, absent
            )
            timings += found
            product_rates[f"{name}/{shape.name}"] = rate
    lines = _markdown(timings, product_rates, sorted(absent))
    print("\n".join(lines))
    write_results(
        "pretraining_speed",
        {
            "timings": [asdict(timing) for timing in timings],
            "product_gflops": product_rates,
            "absent": sorted(absent),
        },
    )
    return lines


def load_table(name: str, data: Path) -> SpeedTable:
    """A table of the manifest without its last column (a target in all of them), or `synthetic`."""
    if name == "synthetic":
        frame = _synthetic()
    else:
        frame = pl.read_parquet(data / f"{name}.parquet", n_rows=NUM_ROWS)
        frame = frame.select(frame.columns[:-1])
    columns = []
    for column in frame.columns:
        is_number = frame.schema[column].is_numeric() and frame[column].n_unique() > 12
        columns.append(
            ColumnSchema(
                name=column,
                kind=ColumnKind.CONTINUOUS if is_number else ColumnKind.CATEGORICAL,
                storage_type="float" if is_number else "string",
            )
        )
    schema = TableSchema(columns=tuple(columns))
    frame = frame.with_columns(
        pl.col(column.name).cast(pl.Float64 if column.kind is ColumnKind.CONTINUOUS else pl.String)
        for column in columns
    )
    codec = Codec.fit(frame, schema)
    return SpeedTable(name, frame, codec, codec.transform(frame))


def flops_per_row(table: SpeedTable, shape: Shape) -> float:
    """Floating-point operations of the products of one training row: 2 per multiplication and addition, and twice as
    many backward as forward.

    Per layer and token 4·D² for attention's projections, 4·D² for the feed-forward of factor 2 and 2·T·D for scores and
    mixing, with T columns and CLS; per masked cell (0.4 of all) D times the classes of its column.
    """
    num_columns = len(table.codec.columns)
    d_model, tokens = shape.d_model, num_columns + 1
    per_token = 8 * d_model**2 + 2 * tokens * d_model
    outputs = 0.4 * sum(column.num_values + 2 for column in table.codec.columns) * d_model
    return 3 * 2 * (shape.num_layers * tokens * per_token + outputs)


def _share_of_arithmetic(table: SpeedTable, shape: Shape) -> float:
    """What our own step has of `flops_per_row`: half of the batches go without some columns."""
    num_columns = len(table.codec.columns)
    kept = 1 - COLUMN_DROPOUT_BATCHES * (1 + np.ceil(num_columns * MAX_DROPPED_SHARE)) / 2 / num_columns
    smaller = (kept * num_columns + 1) / (num_columns + 1)
    layer = 8 * shape.d_model**2
    attention = 2 * (num_columns + 1) * shape.d_model
    return float((smaller * layer + smaller**2 * attention) / (layer + attention))


class _OurStep(Step):
    about = "this project: PretrainingRun.train_step"

    def __init__(self, table: SpeedTable, shape: Shape) -> None:
        config = ColumnTransformerConfig(
            d_model=shape.d_model, num_layers=shape.num_layers, num_heads=shape.num_heads
        )
        data = PretrainingData(table.codes, table.codes)
        self.run = PretrainingRun(
            data,
            table.codec,
            config,
            DEFAULT,
            batch_rows=shape.batch_rows,
            seed=0,
            device=torch.device("cpu"),
        )

    def take(self) -> None:
        self.run.train_step(10_000)


def _compare(
    table: SpeedTable, shape: Shape, systems: Sequence[str], turns: int, absent: set[str]
) -> tuple[list[Timing], float]:
    """Timings of the systems that are there, and the median rate of the product in gigaflops."""
    factories: dict[str, Callable[[SpeedTable, Shape], Step]] = {OURS: _OurStep, **RIVALS}
    steps: list[tuple[Timing, Step, int]] = []
    for name in systems:
        try:
            step = factories[name](table, shape)
        except Unavailable as problem:
            absent.add(f"{name}: {problem}")
            continue
        flops = flops_per_row(table, shape)
        if name == OURS:
            flops *= _share_of_arithmetic(table, shape)
        timing = Timing(
            table.name, shape.name, name, step.about, shape.batch_rows, len(table.codec.columns), flops
        )
        step.take()
        once = _seconds(step, 1)
        steps.append((timing, step, max(1, round(MIN_TURN_S / max(once, 1e-6)))))
        print(f"{table.name} {shape.name} {name}: {shape.batch_rows / once:.0f} rows/s at first", flush=True)
    rates: list[float] = []
    for turn in range(turns):
        rates.append(_product_rate())
        for timing, step, times in steps:
            if turn == 0 or timing.seconds[0] < SLOW_S:
                timing.seconds.append(_seconds(step, times))
    timings = [timing for timing, _, _ in steps]
    del steps, step
    gc.collect()
    return timings, statistics.median(rates)


def _markdown(timings: Sequence[Timing], product_rates: dict[str, float], absent: Sequence[str]) -> list[str]:
    lines = [f"Machine: {describe(machine())}; one thread.", ""]
    lines += [
        "| table | columns | shape | batch | system | rows/s | ours to it [10th, 90th percentile] | share of the product rate |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for timing in timings:
        ours = next(
            (
                other
                for other in timings
                if (other.table, other.shape, other.system) == (timing.table, timing.shape, OURS)
            ),
            None,
        )
        share = (
            timing.rows_per_second
            * timing.flops_per_row
            / product_rates[f"{timing.table}/{timing.shape}"]
            / 1e9
        )
        lines.append(
            f"| {timing.table} | {timing.num_columns} | {timing.shape} | {timing.batch_rows:,} | {timing.system} "
            f"| {timing.rows_per_second:,.0f} | {_ratio(ours, timing)} | {share:.1%} |"
        )
    lines += ["", *(f"Not measured: {line}." for line in absent)]
    lines += sorted({f"- {timing.system}: {timing.about}." for timing in timings})
    return lines


def _ratio(ours: Timing | None, other: Timing) -> str:
    """How many times as fast ours is, over the turns both took."""
    if ours is None or ours is other:
        return "—"
    ratios = np.array(other.seconds) / np.array(ours.seconds[: len(other.seconds)])
    low, high = np.quantile(ratios, [0.1, 0.9])
    return f"{np.median(ratios):.2f} [{low:.2f}, {high:.2f}]"


def _seconds(step: Step, times: int) -> float:
    """Processor seconds per step."""
    started = time.process_time()
    for _ in range(times):
        step.take()
    return (time.process_time() - started) / times


def _product_rate() -> float:
    """Gigaflops of a large float32 product."""
    left = torch.ones(PRODUCT_SIZE, PRODUCT_SIZE)
    torch.mm(left, left)
    started = time.process_time()
    for _ in range(5):
        torch.mm(left, left)
    return 5 * 2 * PRODUCT_SIZE**3 / (time.process_time() - started) / 1e9


def _synthetic() -> pl.DataFrame:
    """Half numbers, half categories of 5 values, all driven by a few hidden factors."""
    random = np.random.default_rng(0)
    factors = random.normal(size=(SYNTHETIC_ROWS, 8))
    values = factors @ random.normal(size=(8, SYNTHETIC_COLUMNS)) + random.normal(
        size=(SYNTHETIC_ROWS, SYNTHETIC_COLUMNS)
    )
    columns: dict[str, object] = {}
    for position in range(SYNTHETIC_COLUMNS):
        value = values[:, position]
        is_number = position < SYNTHETIC_COLUMNS // 2
        columns[f"c{position}"] = (
            value if is_number else np.digitize(value, np.quantile(value, [0.2, 0.4, 0.6, 0.8])).astype(str)
        )
    return pl.DataFrame(columns)


if __name__ == "__main__":
    main()
