"""Losses that take rows without a label beside the labelled ones, in one batch.

Shape letters: `u` rows without a label, `K` classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.neural_rows import Rows
from benchmarks.quality.systems.neural_training import output_loss

ENTROPY_WEIGHT = 0.5  # λ, the middle of the paper's search space
PSEUDO_WEIGHT, PSEUDO_START, PSEUDO_FULL = 3.0, 0.3, 0.7
"""α_f, T₁ and T₂ (TabTransformer, appendix B.1: the 30th and the 70th epoch), T as shares of the training."""


class UnlabelledObjective(ABC):
    """The labelled rows' loss and a penalty on what is predicted for others, drawn anew for each batch."""

    def __init__(self, unlabelled: Rows, batch_size: int) -> None:
        self.unlabelled = unlabelled
        self.batch_size = batch_size

    @abstractmethod
    def penalty(self, outputs: torch.Tensor, progress: float) -> torch.Tensor:
        """Of the outputs [u, K] for rows without a label; a scalar."""

    def __call__(
        self, network: nn.Module, rows: Rows, targets: torch.Tensor, progress: float
    ) -> torch.Tensor:
        if len(self.unlabelled) == 0:
            return output_loss(network(rows), targets)
        drawn = self.unlabelled.take(torch.randint(len(self.unlabelled), (self.batch_size,)))
        outputs = network(rows.followed_by(drawn))
        return output_loss(outputs[: len(rows)], targets) + self.penalty(outputs[len(rows) :], progress)


class EntropyRegularisation(UnlabelledObjective):
    """Predictions should be sure of themselves (Grandvalet and Bengio 2005)."""

    def penalty(self, outputs: torch.Tensor, progress: float) -> torch.Tensor:
        log_probabilities = outputs.log_softmax(dim=1)
        return -ENTROPY_WEIGHT * (log_probabilities.exp() * log_probabilities).sum(dim=1).mean()


class PseudoLabels(UnlabelledObjective):
    """The likeliest class counts as the label, ever more in the middle of the training (Lee 2013)."""

    def penalty(self, outputs: torch.Tensor, progress: float) -> torch.Tensor:
        share = min(max((progress - PSEUDO_START) / (PSEUDO_FULL - PSEUDO_START), 0.0), 1.0)
        return PSEUDO_WEIGHT * share * functional.cross_entropy(outputs, outputs.detach().argmax(dim=1))
