"""An MLP pretrained to undo swap noise (Jahrer 2018, as the TabTransformer paper compares it), then fine-tuned.

Shape letters: `b` rows, `c` numbers, `m` categorical columns.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.neural_layers import EmbeddedInputs, Network
from benchmarks.quality.systems.neural_rows import NeuralColumns, Rows, RowShape
from benchmarks.quality.systems.neural_training import TrainingBudget
from benchmarks.quality.systems.perceptrons import MLPSystem
from benchmarks.quality.systems.pretraining import PretrainingBudget, load_pretrained, pretrain
from benchmarks.quality.trial import Trial

SWAPPED_SHARE = 0.15  # of cells


class Reconstruction(nn.Module):
    """Every cell of the row from the network's last hidden layer.

    NOTE[DIFF]: Jahrer's squared error on indicators of categories is cross-entropy here, as embeddings have none.
    """

    def __init__(self, network: Network, shape: RowShape) -> None:
        super().__init__()
        self.network = network
        self.numbers = nn.Linear(network.hidden.num_outputs, shape.num_numbers)
        self.categories = nn.ModuleList(
            nn.Linear(network.hidden.num_outputs, size) for size in shape.code_sizes
        )

    def loss(self, rows: Rows, noisy: Rows) -> torch.Tensor:
        """Mean over columns of the squared error or cross-entropy; a scalar."""
        features = self.network.features(noisy)
        losses = [functional.mse_loss(self.numbers(features), rows.numbers, reduction="none").mean(dim=0)]
        for i, category in enumerate(self.categories):
            losses.append(functional.cross_entropy(category(features), rows.codes[:, i]).unsqueeze(0))
        return torch.cat(losses).mean()


def swapped(rows: Rows, every: Rows) -> Rows:
    """Cells replaced, each with a probability, by the same column's of a random row of `every`."""

    def swap(values: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        drawn = others.gather(0, torch.randint(len(others), values.shape))
        return torch.where(torch.rand(values.shape) < SWAPPED_SHARE, drawn, values)

    return Rows(swap(rows.numbers, every.numbers), swap(rows.codes, every.codes))


class MLPDenoisingSystem(MLPSystem):
    name = "mlp-dae"
    about = (
        f"The MLP, first pretrained on all training rows to undo {SWAPPED_SHARE:.0%} swap noise (200,000 rows seen), then "
        "trained whole as the MLP"
    )

    def __init__(
        self, budget: TrainingBudget | None = None, pretraining: PretrainingBudget | None = None
    ) -> None:
        super().__init__(budget)
        self.pretraining = pretraining or PretrainingBudget(max_rows=200_000)

    def pretrain(self, network: nn.Module, columns: NeuralColumns, trial: Trial) -> None:
        assert isinstance(network, Network)

        def make() -> nn.Module:
            rows = columns.rows_at(trial.train_rows)
            fresh = Network(EmbeddedInputs(columns.shape), 1)
            reconstruction = Reconstruction(fresh, columns.shape)
            pretrain(
                reconstruction,
                rows,
                lambda batch: reconstruction.loss(batch, swapped(batch, rows)),
                self.pretraining,
            )
            return nn.ModuleList([fresh.inputs, fresh.hidden])

        learned = nn.ModuleList([network.inputs, network.hidden])
        load_pretrained(learned, trial, (self.name, self.pretraining), make)
