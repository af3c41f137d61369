"""Pretraining on the training rows without labels: its loop, its budget, and what one process keeps of it.

As our own encoder, a pretrained network is one per table, target and split: every draw of labels is given the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import nn

from benchmarks.quality.systems.confinement import seeded_torch
from benchmarks.quality.systems.neural_rows import Rows
from benchmarks.quality.systems.neural_training import adamw, shuffled_batches
from benchmarks.quality.trial import Trial

MAX_KEPT = 4
_kept: OrderedDict[Hashable, dict[str, torch.Tensor]] = OrderedDict()


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingBudget:
    """`max_rows`: seen in all, the same row as often as epochs go; with fewer rows, `max_epochs` of them."""

    max_rows: int
    max_epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2


def pretrain(
    module: nn.Module, rows: Rows, loss_of: Callable[[Rows], torch.Tensor], budget: PretrainingBudget
) -> None:
    """Minimise `loss_of` batches of rows in place."""
    optimiser = adamw(module, budget.learning_rate, budget.weight_decay)
    num_left = min(budget.max_rows, budget.max_epochs * len(rows))
    module.train()
    while num_left > 0:
        for positions in shuffled_batches(len(rows), budget.batch_size):
            if num_left <= 0:
                break
            optimiser.zero_grad()
            torch.autograd.backward(loss_of(rows.take(positions)))
            optimiser.step()
            num_left -= len(positions)


def load_pretrained(module: nn.Module, trial: Trial, key: Hashable, make: Callable[[], nn.Module]) -> None:
    """Give `module` the weights of what `make` returns for this table, target and split; `make` once per process.

    `make` is seeded by the split and starts from weights of its own: no draw of labels leaves its mark.
    """
    rows = blake2b(trial.train_rows.tobytes(), digest_size=8).digest()
    known = (
        trial.table,
        trial.target,
        trial.split,
        rows,
        trial.frame.height,
        tuple(trial.frame.columns),
        key,
    )
    weights = _kept.pop(known, None)
    if weights is None:
        with seeded_torch(trial.threads, trial.split):
            weights = make().state_dict()
    module.load_state_dict(weights)
    _kept[known] = weights
    while len(_kept) > MAX_KEPT:
        _kept.popitem(last=False)


def forget() -> None:
    """Let go of what this process has kept."""
    _kept.clear()
