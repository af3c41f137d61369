"""What a job may take: seconds, memory and disk, said before it starts.

The constants were measured with `python -m benchmarks.estimates`, which prints what a job took beside what was
estimated; run it on your own machine. An estimate is for planning and for refusing what cannot work, never a limit.

Letters: `n` rows, `C` columns that become tokens, `D` width of a token, `L` layers, `F` row features of a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from storage.orm.base import JsonObject

MIB = 1 << 20

PROCESS_BYTES = 420 * MIB  # a job's process with its libraries, before it has read anything
PLAIN_READ_S_PER_BYTE = 1 / (4 * MIB)
DECODED_PER_PACKED_BYTE = 5.0  # Parquet and compressed text, when decoded
MEMORY_PER_DECODED_BYTE = 9.0
SNAPSHOT_PER_DECODED_BYTE = 0.7
PACKED_SUFFIXES = (".parquet", ".pq", ".gz", ".zst", ".zip", ".bz2", ".xz", ".arrow", ".feather", ".ipc")

BATCH_ROWS = 128  # of a pretraining step, at most
MAX_EPOCHS = 100
MAX_STEPS = 20_000
MIN_STEPS = 20
STEP_S = 0.004  # of a step, whatever its size
FLOPS_PER_S = 6e9  # of one core, in training
STEPS_SHARE = 0.8  # of the time limit
CELL_BYTES = 40  # of a row's cell, read, coded and held beside its neighbours in pretraining
ACTIVATION_FLOATS = 40  # per token, width and layer, of a training step
CHECKPOINT_COPIES = 10  # weights, the best weights, two moments; two checkpoints, and the bundle

RAW_FEATURES_PER_COLUMN = 12
FEATURE_BYTES = 45  # of one row feature of a cross-validated row: folds, solver, baselines
FEATURE_CELLS_PER_S = 3e6  # row features, computed by the encoder
SOLVED_CELLS_PER_S = 8e5  # fitted with cross-validation, per target
BASELINE_S = 4.0  # per target, at least
MAX_FEATURE_BYTES = 2 << 30
MAX_LABELLED_ROWS = 200_000
MAX_FOLD_ROWS = 20_000  # more labels than this are not cross-validated
OVERHEAD_S = 1.0  # starting, reading, publishing


@dataclass(frozen=True)
class Estimate:
    """`disk_bytes` is what is written while the job runs; `basis` says what the figures rest on."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    basis: str

    def as_json(self) -> JsonObject:
        return {**asdict(self), "seconds": round(self.seconds, 1)}


def estimate_ingest(
    files: Iterable[tuple[str, int]], *, rows_before: int = 0, bytes_before: int = 0
) -> Estimate:
    """Read `files` (names and sizes in bytes), perhaps onto a snapshot of `rows_before` rows and `bytes_before` bytes."""
    sizes = list(files)
    received = sum(size for _, size in sizes)
    packed = sum(size for name, size in sizes if name.lower().endswith(PACKED_SUFFIXES))
    decoded = (received - packed) + packed * DECODED_PER_PACKED_BYTE + bytes_before * DECODED_PER_PACKED_BYTE
    return Estimate(
        seconds=OVERHEAD_S + decoded * PLAIN_READ_S_PER_BYTE,
        memory_bytes=round(PROCESS_BYTES + decoded * MEMORY_PER_DECODED_BYTE),
        # The snapshot is written to scratch and then stored; what decompression writes is counted with it.
        disk_bytes=round(2 * SNAPSHOT_PER_DECODED_BYTE * decoded + packed * DECODED_PER_PACKED_BYTE),
        basis=_basis(
            f"{received:,} bytes in {len(sizes)} files" if len(sizes) != 1 else f"{received:,} bytes"
        ),
    )


def estimate_pretrain(
    num_rows: int,
    num_columns: int,
    architecture: JsonObject,
    *,
    max_seconds: float,
    num_objectives: int = 1,
    num_threads: int = 1,
) -> Estimate:
    """Pretrain on `num_rows` rows of `num_columns` encoded columns; more than `max_seconds` is never the plan."""
    d_model = int(architecture.get("d_model", 32))
    num_layers = int(architecture.get("num_layers", 3))
    tokens = num_columns + 1
    full = int(architecture.get("max_full_columns", 256))
    reach = tokens if num_columns <= full else int(architecture.get("num_latents", 32))
    batch = max(1, min(BATCH_ROWS, max(16, num_rows // 8), max(16, 32_768 // tokens)))
    flops = 6.0 * batch * tokens * num_layers * (12 * d_model**2 + 2 * d_model * reach) * num_objectives
    step_s = STEP_S * num_objectives + flops / (FLOPS_PER_S * max(1.0, math.sqrt(num_threads)))
    steps = max(MIN_STEPS, min(MAX_STEPS, math.ceil(MAX_EPOCHS * num_rows / batch)))
    reading_s = num_rows * num_columns / 4e6
    training_s = min(steps * step_s, STEPS_SHARE * max_seconds)
    weights = 4 * (num_layers * 12 * d_model**2 + num_columns * 64 * d_model * (1 + num_objectives))
    activations = 4 * batch * tokens * d_model * num_layers * ACTIVATION_FLOATS * num_objectives
    held_out = 4 * min(2_048, max(32, num_rows // 20)) * tokens * d_model * 8
    return Estimate(
        seconds=OVERHEAD_S + reading_s + training_s * 1.15,
        memory_bytes=round(
            PROCESS_BYTES + num_rows * num_columns * CELL_BYTES + activations + held_out + 6 * weights
        ),
        disk_bytes=round(CHECKPOINT_COPIES * weights + MIB),
        basis=_basis(
            f"{num_rows:,} rows of {num_columns} columns, {num_layers} layers of width {d_model}, "
            f"max_seconds {max_seconds:g}"
        ),
    )


def estimate_finetune(
    num_rows: int,
    num_columns: int,
    architecture: JsonObject,
    *,
    num_labels: Sequence[int],
    num_views: int,
    max_seconds: float,
) -> Estimate:
    """Fit a head per entry of `num_labels` (its labels, at most one per row), whose targets have `num_views` views."""
    d_model = int(architecture.get("d_model", 32))
    width = (num_columns + 1) * (d_model + RAW_FEATURES_PER_COLUMN)
    labels = [max(1, min(count or num_rows, num_rows, MAX_LABELLED_ROWS)) for count in num_labels]
    most = max(labels, default=1)
    feature_cells = most * width * max(1, num_views)
    solved_cells = sum(min(count, MAX_FOLD_ROWS) * width for count in labels)
    fitting_s = (
        feature_cells / FEATURE_CELLS_PER_S + solved_cells / SOLVED_CELLS_PER_S + BASELINE_S * len(labels)
    )
    held_bytes = min(most, MAX_FOLD_ROWS) * width * FEATURE_BYTES + 2 * min(
        most * width * 4, MAX_FEATURE_BYTES
    )
    return Estimate(
        seconds=OVERHEAD_S + num_rows * num_columns / 2e7 + min(fitting_s, 1.5 * max_seconds),
        memory_bytes=round(PROCESS_BYTES + num_rows * num_columns * 24 + held_bytes),
        disk_bytes=round(len(labels) * (width * 4 * 10 + MIB)),
        basis=_basis(
            f"{len(labels)} targets with {sum(labels):,} labels in {max(1, num_views)} views, {width:,} features "
            f"a row, max_seconds {max_seconds:g}"
        ),
    )


def _basis(facts: str) -> str:
    return f"{facts}; constants measured on another machine: expect the truth within a factor of 3"


def estimate_erase(snapshots: Iterable[tuple[int, int]]) -> Estimate:
    """Of (rows, bytes) of the snapshots that are read, one after the other, and written again where they change."""
    sizes = list(snapshots)
    num_bytes = sum(size for _, size in sizes)
    largest = max((size for _, size in sizes), default=0)
    decoded = largest * DECODED_PER_PACKED_BYTE
    seconds = OVERHEAD_S + num_bytes * DECODED_PER_PACKED_BYTE * PLAIN_READ_S_PER_BYTE
    return Estimate(
        seconds=seconds,
        memory_bytes=round(PROCESS_BYTES + decoded * MEMORY_PER_DECODED_BYTE),
        disk_bytes=2 * num_bytes,
        basis=f"{len(sizes)} snapshots of {num_bytes:,} bytes; within a factor of 3",
    )
