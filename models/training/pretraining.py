"""Pretrain an encoder on a snapshot's training rows, without labels, within a time limit.

The time limit becomes a fixed number of steps by a short probe at the start; steps, random state and optimiser live
in the checkpoint, so a killed or stopped run goes on to the same weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import torch

from models.bundle import MAX_REFERENCE_ROWS, EncoderBundle
from models.encoders import EncoderConfig
from models.errors import EncoderError, Interrupted
from models.features.codec import Codec, CodecConfig, Codes
from models.features.schema import SPLIT_COLUMN, TableSchema
from models.objectives import ObjectiveConfig, check_objectives
from models.progress import Progress, ShouldStop
from models.training.checkpoint import Checkpoint, CheckpointStore
from models.training.freed_memory import keep_freed_memory
from models.training.pretraining_plan import (
    NUM_EVALUATIONS,
    PATIENCE,
    REPORT_SHARE,
    PretrainingData,
    choose_batch_rows,
    choose_num_evaluations,
    choose_num_steps,
    is_evaluation_step,
    split_held_out,
)
from models.training.pretraining_run import PretrainingRun

CPU = torch.device("cpu")
CHECKPOINT_VERSION = 2
CHECKPOINT_EVERY_S = 15.0
PROGRESS_EVERY_S = 0.5

# Of the time limit, what steps may take; the rest is for the codec, held-out losses and the report.
STEPS_SHARE = 0.8
PROBE_WARMUP_STEPS = 3
PROBE_STEPS = 12
PROBE_SHARE = 0.05  # of the time limit, at most
# A machine that got this many times slower than at the probe: stop early, with the best weights so far.
OVERTIME = 2.0


@dataclass
class _Clock:
    """Seconds this run has taken, over all attempts."""

    before_s: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        return self.before_s + time.monotonic() - self.started


@contextlib.contextmanager
def _threads_restored() -> Iterator[None]:
    """Leave torch with as many threads as it had."""
    num_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)


@_threads_restored()
def pretrain(
    frame: pl.DataFrame,
    schema: TableSchema,
    *,
    architecture: EncoderConfig,
    objectives: Sequence[ObjectiveConfig],
    max_seconds: float,
    seed: int,
    checkpoint_dir: Path | None,
    progress: Progress,
    should_stop: ShouldStop,
    device: torch.device = CPU,
    num_steps: int | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    sizes: CodecConfig | None = None,
) -> EncoderBundle:
    """Fit codec and encoder on the training rows of `frame` (all rows where it has no `_split` column).

    Meanwhile torch uses the better of one thread and as many as it had, or as many as the checkpoint began with.

    Args:
        max_seconds: time to aim at, report included; small tables take less (`MAX_EPOCHS`, `PATIENCE`).
        checkpoint_dir: folder of this run alone; an intact checkpoint of the same rows and settings is continued.
        num_steps: a fixed number of steps instead of the probe's.
        sizes: of the codec's vocabularies and bins; recorded in the report.

    Raises:
        EncoderError: no encodable column (`no_encoded_columns`), none that the architecture is for
            (`no_categorical_columns`), no training row (`no_training_rows`), no objective (`no_objectives`) or two of a
            kind (`duplicate_objective`), or training diverged (`diverged`).
        Interrupted: `should_stop()` was true; a checkpoint is written where there is a folder for it.
    """
    check_objectives(objectives)
    architecture.check_schema(schema)
    keep_freed_memory()
    clock = _Clock()
    progress(0, 0, "reading columns")
    train = frame.filter(pl.col(SPLIT_COLUMN) == "train") if SPLIT_COLUMN in frame.columns else frame
    if train.height == 0:
        raise EncoderError(
            f"Pretraining needs training rows; none of the {frame.height} rows is one.",
            code="no_training_rows",
        )
    sizes = sizes or CodecConfig()
    codec = Codec.fit(train, schema, sizes)
    codes = codec.transform(train)
    data = split_held_out(codes, seed=seed).on(device)
    batch_rows = choose_batch_rows(len(data.codes), len(codec.columns))

    def new_run() -> PretrainingRun:
        return PretrainingRun(
            data, codec, architecture, objectives, batch_rows=batch_rows, seed=seed, device=device
        )

    fingerprint = _fingerprint(codec, codes, architecture, objectives, seed, max_seconds, num_steps)
    session = _Session(new_run(), fingerprint, clock, checkpoint_dir, checkpoint_every_s)
    if not session.resume():
        step_s = _fastest_probe(new_run, max_seconds, should_stop) if num_steps is None else 0.0
        session.begin()
        if num_steps is not None:
            session.num_steps = num_steps
        else:
            session.plan(step_s, max_seconds, STEPS_SHARE * max_seconds - clock.elapsed_s)
    session.train(math.inf if num_steps is not None else OVERTIME * max_seconds, progress, should_stop)
    progress(session.num_steps, session.num_steps, "measuring how columns predict each other")
    run = session.run
    run.restore_best()
    run.module.eval()
    report = (
        session.report(data, device)
        | {"codec": sizes.model_dump(mode="json")}
        | run.column_report(codec, max_tokens=session.max_report_tokens)
    )
    return EncoderBundle(
        codec=codec,
        config=architecture,
        encoder=run.encoder.to(CPU),
        schema=schema,
        report=report,
        reference_codes=_reference(codes, seed),
        column_outputs=run.column_outputs(),
    )


class _Session:
    """A run with its checkpoints and its record."""

    def __init__(
        self,
        run: PretrainingRun,
        fingerprint: str,
        clock: _Clock,
        checkpoint_dir: Path | None,
        checkpoint_every_s: float,
    ) -> None:
        self.run = run
        self.num_steps = 0
        self.num_evaluations = NUM_EVALUATIONS
        self.max_report_tokens: int | None = None
        self.stopped_by = "steps"
        self.warnings: list[str] = []
        self._fingerprint = fingerprint
        self._clock = clock
        self._store = CheckpointStore(checkpoint_dir) if checkpoint_dir is not None else None
        self._every_s = checkpoint_every_s
        self._num_resumes = 0
        self._step_seconds = 0.0
        self._evaluation_s = 0.0

    def resume(self) -> bool:
        """Load the latest checkpoint of this very run; False when there is none."""
        if self._store is None:
            return False
        checkpoint = self._store.load_latest(self._fingerprint, on_problem=self.warnings.append)
        if checkpoint is None:
            return False
        self.run.load(checkpoint)
        state = checkpoint.state
        # As many threads as it began with, if there are that many here: the bits depend on it.
        torch.set_num_threads(min(state["environment"]["num_threads"], torch.get_num_threads()))
        self.num_steps, self.num_evaluations = state["num_steps"], state["num_evaluations"]
        self.max_report_tokens = state["max_report_tokens"]
        self.warnings = [*state["warnings"], *self.warnings]
        self._num_resumes = state["num_resumes"] + 1
        self._clock.before_s = state["elapsed_s"]
        self._step_seconds = state["step_seconds"]
        for name, now in _environment().items():
            if state["environment"][name] != now:
                self.warnings.append(
                    f"Continued with another {name} than it began with; the weights are as good, but not the same bits."
                )
        return True

    def begin(self) -> None:
        """Measure the loss of untrained weights, and how long that takes."""
        started = time.monotonic()
        self.run.evaluate()
        self._evaluation_s = time.monotonic() - started

    def plan(self, step_s: float, max_seconds: float, available_s: float) -> None:
        """Fix the number of steps, of looks at held-out rows and of tokens for the report, from measured seconds."""
        run, data = self.run, self.run.data
        self.num_evaluations = choose_num_evaluations(self._evaluation_s, available_s)
        for_steps = available_s - self.num_evaluations * self._evaluation_s
        self.num_steps = choose_num_steps(
            len(data.codes), run.batch_rows, step_s=step_s, max_seconds=for_steps
        )
        num_tokens = len(data.held_out) * (len(data.held_out.names) + 1) * len(run.objectives)
        self.max_report_tokens = int(REPORT_SHARE * max_seconds * num_tokens / max(self._evaluation_s, 1e-9))

    def train(self, limit_s: float, progress: Progress, should_stop: ShouldStop) -> None:
        """Take the remaining steps.

        Raises:
            Interrupted: `should_stop()`; state is saved first.
            EncoderError: the loss is no longer a number.
        """
        run, saved_at, reported_at = self.run, time.monotonic(), -math.inf
        while run.step < self.num_steps and not self._is_done(limit_s):
            if should_stop():
                self._save()
                raise Interrupted(
                    f"Pretraining was asked to stop after {run.step} of {self.num_steps} steps.",
                    step=run.step,
                )
            started = time.monotonic()
            run.train_step(self.num_steps)
            self._step_seconds += time.monotonic() - started
            is_look = is_evaluation_step(run.step, self.num_steps, self.num_evaluations)
            if is_look and not math.isfinite(run.evaluate()):
                raise EncoderError(
                    f"Training diverged at step {run.step}; look for columns with extreme values.",
                    code="diverged",
                )
            now = time.monotonic()
            if now - reported_at >= PROGRESS_EVERY_S:
                reported_at = now
                progress(run.step, self.num_steps, f"held-out loss {run.curve[-1][1]:.3f}")
            if now - saved_at >= self._every_s or run.step == self.num_steps:
                self._save()
                saved_at = time.monotonic()

    def report(self, data: PretrainingData, device: torch.device) -> dict[str, Any]:
        """What happened, JSON-serialisable."""
        run = self.run
        rows = run.step * run.batch_rows
        return {
            "num_rows": len(data.codes),
            "num_held_out_rows": len(data.held_out),
            "num_columns": len(data.codes.names),
            "num_parameters": sum(parameter.numel() for parameter in run.encoder.parameters()),
            "batch_rows": run.batch_rows,
            "num_steps": run.step,
            "num_planned_steps": self.num_steps,
            "num_epochs": round(rows / max(len(data.codes), 1), 2),
            "stopped_by": self.stopped_by,
            "best_step": run.best_step,
            "seconds": round(self._clock.elapsed_s, 2),
            "rows_per_second": round(rows / max(self._step_seconds, 1e-9)),
            "num_resumes": self._num_resumes,
            "held_out_loss": {"before": round(run.curve[0][1], 4), "after": round(run.best_loss, 4)},
            "objectives": run.objective_report(),
            "curve": [{"step": step, "held_out_loss": round(loss, 4)} for step, loss in run.curve],
            "device": device.type,
            "warnings": list(self.warnings),
            **_environment(),
        }

    def _is_done(self, limit_s: float) -> bool:
        """Whether further steps would not help (or would take far longer than was asked for)."""
        if self.run.num_evaluations_since_best() >= PATIENCE:
            self.stopped_by = "held_out_loss"
            return True
        if self._clock.elapsed_s > limit_s and self.run.best_step > 0:
            self.stopped_by = "time"
            self.warnings.append(
                f"The machine became slower than at the start; stopped after {self.run.step} of {self.num_steps} steps."
            )
            return True
        return False

    def _save(self) -> None:
        if self._store is None:
            return
        checkpoint = self.run.export()
        state = checkpoint.state | {
            "version": CHECKPOINT_VERSION,
            "fingerprint": self._fingerprint,
            "num_steps": self.num_steps,
            "num_evaluations": self.num_evaluations,
            "max_report_tokens": self.max_report_tokens,
            "elapsed_s": self._clock.elapsed_s,
            "step_seconds": self._step_seconds,
            "num_resumes": self._num_resumes,
            "warnings": self.warnings,
            "environment": _environment(),
        }
        self._store.save(self.run.step, Checkpoint(checkpoint.tensors, state))


def _fastest_probe(
    new_run: Callable[[], PretrainingRun], max_seconds: float, should_stop: ShouldStop
) -> float:
    """Seconds a step takes with the better of one thread and all of them, which stays set.

    Small batches of narrow tables gain little from more threads, and lose a lot where other work shares the cores.
    """
    num_threads = torch.get_num_threads()
    seconds: dict[int, float] = {}
    for count in sorted({num_threads, 1}, reverse=True):
        torch.set_num_threads(count)
        seconds[count] = _probe(new_run(), max_seconds, should_stop)
    fastest = min(seconds, key=lambda count: seconds[count])
    torch.set_num_threads(fastest)
    return seconds[fastest]


def _probe(run: PretrainingRun, max_seconds: float, should_stop: ShouldStop) -> float:
    """Seconds a step takes, measured on a run that is thrown away."""
    started = time.monotonic()
    seconds: list[float] = []
    for step in range(PROBE_WARMUP_STEPS + PROBE_STEPS):
        if should_stop():
            raise Interrupted("Pretraining was asked to stop before its first step.", step=0)
        before = time.monotonic()
        run.train_step(PROBE_WARMUP_STEPS + PROBE_STEPS)
        if step >= PROBE_WARMUP_STEPS or not seconds:
            seconds.append(time.monotonic() - before)
        if time.monotonic() - started > PROBE_SHARE * max_seconds:
            break
    return statistics.median(seconds)


def _environment() -> dict[str, Any]:
    """What bitwise repetition depends on."""
    return {"torch": torch.__version__, "num_threads": torch.get_num_threads()}


def _fingerprint(
    codec: Codec,
    codes: Codes,
    architecture: EncoderConfig,
    objectives: Sequence[ObjectiveConfig],
    seed: int,
    max_seconds: float,
    num_steps: int | None,
) -> str:
    """Digest of everything a run is made of: a checkpoint of another run is never continued."""
    digest = hashlib.sha256(f"{CHECKPOINT_VERSION}/{seed}/{max_seconds}/{num_steps}".encode())
    for config in (codec, architecture, *objectives):
        digest.update(config.model_dump_json().encode())
    digest.update(codes.index.numpy().tobytes())
    digest.update(codes.fraction.numpy().tobytes())
    return digest.hexdigest()


def _reference(codes: Codes, seed: int) -> Codes:
    """A fixed sample of training rows, in table order."""
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))
    return codes.select_rows(order[:MAX_REFERENCE_ROWS].sort().values)
