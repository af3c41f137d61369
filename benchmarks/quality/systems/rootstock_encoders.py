"""One pretrained encoder per table, columns and split, kept on disk and shared by all draws, label counts and heads."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl
import torch

from benchmarks.quality.trial import Trial
from benchmarks.quality.versions import code_digest, digest_of
from models import encoders, objectives
from models.bundle import EncoderBundle
from models.errors import BundleError
from models.progress import never_stop, no_progress
from models.training.pretraining import pretrain

DEFAULT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Pretraining:
    """How long to pretrain, seconds or a fixed number of steps, and the folder that keeps encoders; None: nowhere."""

    seconds: float = DEFAULT_SECONDS
    steps: int | None = None
    folder: Path | None = None

    @property
    def setting(self) -> dict[str, float | int]:
        return {"seconds": self.seconds} if self.steps is None else {"steps": self.steps}


DEFAULT_PRETRAINING = Pretraining()


def encoder_code() -> str:
    """Digest of all code that what an encoder learns depends on."""
    return code_digest(
        ["models.training.pretraining", "models.objectives", "models.encoders"], within=["models"]
    )


def encoder_of(trial: Trial, pretraining: Pretraining) -> EncoderBundle:
    """The encoder of the trial's training rows, unlabelled, at the product's defaults; pretrained if it is not kept.

    Raises:
        EncoderError: the table cannot be pretrained on.
    """
    if pretraining.folder is None:
        return _pretrained(trial, pretraining)
    folder = pretraining.folder / _digest(trial, pretraining)
    with _locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _keep(_pretrained(trial, pretraining), folder)
    try:
        return _load(folder)
    except (BundleError, OSError):
        shutil.rmtree(folder, ignore_errors=True)  # damaged: a disk that was full, say
        return encoder_of(trial, pretraining)


def _pretrained(trial: Trial, pretraining: Pretraining) -> EncoderBundle:
    torch.set_num_threads(trial.threads)
    return pretrain(
        trial.frame[trial.train_rows],
        trial.schema,
        architecture=encoders.DEFAULT,
        objectives=objectives.DEFAULT,
        max_seconds=pretraining.seconds,
        num_steps=pretraining.steps,
        seed=trial.split,
        checkpoint_dir=None,
        progress=no_progress,
        should_stop=never_stop,
    )


def _digest(trial: Trial, pretraining: Pretraining) -> str:
    return digest_of({
        "code": encoder_code(),
        "pretraining": pretraining.setting,
        "seed": trial.split,
        "threads": trial.threads,
        "columns": [(column.name, column.kind.value) for column in trial.schema.encoded],
        "rows": _rows_digest(trial.frame, trial.train_rows.tobytes()),
    })  # fmt: skip


def _rows_digest(frame: pl.DataFrame, train_rows: bytes) -> str:
    # polars hashes rows alike within one version only; another version pretrains again.
    hashes = frame.hash_rows(seed=1).to_numpy().tobytes()
    return hashlib.sha256(f"polars {pl.__version__}".encode() + hashes + train_rows).hexdigest()[:16]


def _keep(bundle: EncoderBundle, folder: Path) -> None:
    """Whole or not at all: under another name first."""
    scratch = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    for name, content in bundle.to_files().items():
        (scratch / name).write_bytes(content)
    scratch.rename(folder)


@lru_cache(maxsize=2)
def _load(folder: Path) -> EncoderBundle:
    return EncoderBundle.from_files({path.name: path.read_bytes() for path in folder.iterdir()})


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
