"""Checkpoints that survive being killed at any instant.

One safetensors file per checkpoint, its JSON state in the header. The name carries step and digest, so a file that
was cut short or damaged is recognised; it appears under that name only when it is complete on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

NUM_KEPT = 2  # the newest, and the one before in case the disk damages it
STATE_KEY = "state"
_NAME = re.compile(r"step-(\d{10})-([0-9a-f]{64})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors and a JSON-serialisable state."""

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]


class CheckpointStore:
    """Checkpoints in one folder that belongs to one training run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write and make durable; older ones beyond two are removed only afterwards."""
        content = save_tensors(checkpoint.tensors, metadata={STATE_KEY: json.dumps(checkpoint.state)})
        name = f"step-{step:010d}-{hashlib.sha256(content).hexdigest()}.safetensors"
        temporary = self._directory / f".{name}.{os.getpid()}"
        try:
            with open(temporary, "wb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._directory / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_directory(self._directory)
        self._discard(keep=name)

    def load_latest(self, fingerprint: str, *, on_problem: Callable[[str], None]) -> Checkpoint | None:
        """The newest intact checkpoint whose state has this `fingerprint`; None when there is none.

        `on_problem` gets a sentence about each one that is damaged or belongs to another run.
        """
        for path in self._paths():
            checkpoint = _read(path)
            if checkpoint is None:
                on_problem(f"Checkpoint of step {_step(path)} is damaged and was not used.")
            elif checkpoint.state.get("fingerprint") != fingerprint:
                on_problem(
                    f"Checkpoint of step {_step(path)} belongs to other rows or settings and was not used."
                )
            else:
                return checkpoint
        return None

    def _paths(self) -> list[Path]:
        """Checkpoints by name, newest first."""
        found = [path for path in self._directory.iterdir() if _NAME.fullmatch(path.name)]
        return sorted(found, key=lambda path: (_step(path), path.stat().st_mtime_ns), reverse=True)

    def _discard(self, keep: str) -> None:
        others = [path for path in self._paths() if path.name != keep]
        leftovers = [path for path in self._directory.iterdir() if path.name.startswith(".step-")]
        for path in others[NUM_KEPT - 1 :] + leftovers:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def _read(path: Path) -> Checkpoint | None:
    """The checkpoint, or None when its bytes are not those its name promises."""
    match = _NAME.fullmatch(path.name)
    try:
        if match is None or hashlib.sha256(path.read_bytes()).hexdigest() != match[2]:
            return None
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()[STATE_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return Checkpoint(tensors, state) if isinstance(state, dict) else None


def flatten(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Own copies of tensors under `prefix/`, safe to keep while training goes on."""
    return {
        f"{prefix}/{name}": tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
    }


def unflatten(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors `flatten` put under `prefix/`."""
    start = f"{prefix}/"
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _step(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_directory(directory: Path) -> None:
    """Make the rename durable; some file systems cannot sync a folder, and then nothing better can be done."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
