"""How every network here is trained: AdamW at a constant rate, as in the TabTransformer paper (appendix B.1).

With validation rows, and with many labels, training stops when those rows, or a fifth of the labels, are predicted no
better for `patience` epochs, and the best epoch's weights are kept. With few labels a fifth of them says too little: the
number of epochs is fixed and all labels are fitted.

Shape letters: `p` labelled rows, `o` outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.neural_rows import Rows

PREDICTED_CELLS = 200_000  # cells of categorical columns a prediction takes at a time
MAX_JUDGED = 2_000  # validation rows that training stops by


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBudget:
    """`few_epochs`: fixed, without validation rows and below `many_labels`. `max_rows`: labelled rows seen in all.

    On heart_2020_brfss and hotel_bookings the MLP's AUC at 500 labels falls from its 12th epoch on at 1e-3, by ten points
    until the 30th; at 1e-4 it is as high and stays.
    """

    few_epochs: int = 30
    max_epochs: int = 100
    max_rows: int = 4_000_000
    patience: int = 15
    many_labels: int = 1_000
    many_patience: int = 5
    batch_size: int = 128
    many_batch_size: int = 256
    learning_rate: float = 1e-4
    many_learning_rate: float = 1e-3
    weight_decay: float = 1e-2


class Objective(Protocol):
    """The loss of one batch of labelled rows; targets int64 [p] or float32 [p]. `progress`: share of the epochs done."""

    def __call__(
        self, network: nn.Module, rows: Rows, targets: torch.Tensor, progress: float
    ) -> torch.Tensor: ...


def supervised(network: nn.Module, rows: Rows, targets: torch.Tensor, progress: float) -> torch.Tensor:
    return output_loss(network(rows), targets)


def output_loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, or half the squared error of numbers; outputs float32 [p, o] -> a scalar."""
    if targets.is_floating_point():
        return 0.5 * functional.mse_loss(outputs[:, 0], targets)
    return functional.cross_entropy(outputs, targets)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rows that training stops by."""

    rows: Rows
    targets: torch.Tensor

    def score(self, network: nn.Module) -> float:
        """Area under the curve of two classes, else the negative loss: the higher the better."""
        outputs = predict(network, self.rows)
        if outputs.shape[1] == 2 and len(torch.unique(self.targets)) == 2:
            return float(roc_auc_score(self.targets.numpy(), (outputs[:, 1] - outputs[:, 0]).numpy()))
        return -float(output_loss(outputs, self.targets))


def train(
    network: nn.Module,
    rows: Rows,
    targets: torch.Tensor,
    *,
    objective: Objective,
    learning_rate: float,
    weight_decay: float,
    num_epochs: int,
    batch_size: int,
    patience: int,
    judged: Judged | None,
    after_epoch: Callable[[int], None],
) -> None:
    """Fit the network in place, and leave it ready to predict."""
    optimiser = adamw(network, learning_rate, weight_decay)
    best_score, best_weights, best_epoch = -float("inf"), None, 0
    for epoch in range(num_epochs):
        network.train()
        for positions in shuffled_batches(len(rows), batch_size):
            optimiser.zero_grad()
            loss = objective(network, rows.take(positions), targets[positions], epoch / num_epochs)
            torch.autograd.backward(loss)
            optimiser.step()
        after_epoch(epoch)
        if judged is None:
            continue
        score = judged.score(network)
        if score > best_score:
            best_score, best_weights, best_epoch = score, copy.deepcopy(network.state_dict()), epoch
        elif epoch - best_epoch >= patience:
            break
    if best_weights is not None:
        network.load_state_dict(best_weights)
    network.eval()


def adamw(module: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True)


def shuffled_batches(num_rows: int, batch_size: int) -> Iterator[torch.Tensor]:
    """Positions of one epoch, int64; the last batch is as large as what is left, but never one row to be normalised."""
    batches = list(torch.split(torch.randperm(num_rows), batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    yield from batches


def predict(network: nn.Module, rows: Rows) -> torch.Tensor:
    """Outputs float32 [p, o], each row by itself."""
    network.eval()
    size = max(32, min(4_096, PREDICTED_CELLS // max(1, rows.codes.shape[1])))
    with torch.no_grad():
        return torch.cat(
            [network(rows.take(positions)) for positions in torch.split(torch.arange(len(rows)), size)]
        )
