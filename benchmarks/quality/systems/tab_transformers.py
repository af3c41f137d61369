"""TabTransformer as published (arXiv 2012.06678): supervised, semi-supervised, and pretrained by MLM and RTD.

Categories alone pass the Transformer, numbers join them before the MLP; a table without categories has only the MLP,
and nothing to pretrain. The paper's tables have 2 to 136 categorical columns; how it made some of tables of numbers
is not said. Here columns are what the schema says.

NOTE[DIFF]: the MLP's hidden layers have at most 1,280 and 640 units, and settings are fixed instead of 20 rounds of
search.

Shape letters: `b` rows, `m` categorical columns, `d` width.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.columns import FIRST_KNOWN, MISSING
from benchmarks.quality.systems.neural_layers import WIDTH, ContextualInputs, Network
from benchmarks.quality.systems.neural_rows import NeuralColumns, RowShape
from benchmarks.quality.systems.neural_system import NeuralSystem
from benchmarks.quality.systems.neural_training import TrainingBudget
from benchmarks.quality.systems.perceptrons import CLASSIFICATION
from benchmarks.quality.systems.pretraining import PretrainingBudget, load_pretrained, pretrain
from benchmarks.quality.systems.unlabelled_objectives import EntropyRegularisation, PseudoLabels
from benchmarks.quality.trial import Trial

CORRUPTED_SHARE = 0.3
FINE_TUNED_CELLS, PRETRAINED_CELLS = 1_000_000, 1_500_000
"""Categorical cells seen in training and in pretraining, which is what they cost; then come fewer epochs."""
CELLS_PER_BATCH, SMALLEST_BATCH = 2_304, 32


class TabTransformerSystem(NeuralSystem):
    name = "tabtransformer"
    about = "TabTransformer as published (width 32, 6 layers, 8 heads), not pretrained; trained as the MLP"

    def network(self, shape: RowShape, num_outputs: int) -> nn.Module:
        return Network(ContextualInputs(shape), num_outputs)

    def num_epochs(self, num_labels: int, shape: RowShape, *, is_stopped: bool) -> int:
        affordable = FINE_TUNED_CELLS // (num_labels * max(1, len(shape.code_sizes)))
        return max(1, min(super().num_epochs(num_labels, shape, is_stopped=is_stopped), affordable))

    def batch_size(self, num_labels: int, shape: RowShape) -> int:
        return min(super().batch_size(num_labels, shape), affordable_batch(shape))


def affordable_batch(shape: RowShape) -> int:
    """Rows in a step, fewer where there are many columns: then a bounded number of rows is still many steps."""
    return max(SMALLEST_BATCH, CELLS_PER_BATCH // max(1, len(shape.code_sizes)))


class TabTransformerEntropySystem(TabTransformerSystem):
    name = "tabtransformer-entropy"
    about = "TabTransformer with entropy regularisation, as mlp-entropy"
    tasks = CLASSIFICATION
    penalty = EntropyRegularisation


class TabTransformerPseudoSystem(TabTransformerSystem):
    name = "tabtransformer-pseudo"
    about = "TabTransformer with pseudo-labels, as mlp-pseudo"
    tasks = CLASSIFICATION
    penalty = PseudoLabels


class PretrainedTabTransformerSystem(TabTransformerSystem):
    """Its Transformer pretrained on all training rows; then everything is fine-tuned on the labelled ones."""

    def __init__(
        self, budget: TrainingBudget | None = None, pretraining: PretrainingBudget | None = None
    ) -> None:
        super().__init__(budget)
        self.pretraining = pretraining

    @abstractmethod
    def pretext(self, inputs: ContextualInputs, shape: RowShape) -> nn.Module:
        """Codes int64 [b, m] to a loss."""

    def pretrain(self, network: nn.Module, columns: NeuralColumns, trial: Trial) -> None:
        assert isinstance(network, Network)
        inputs, shape = network.inputs, columns.shape
        assert isinstance(inputs, ContextualInputs)
        if not shape.code_sizes:
            return
        budget = self.pretraining or PretrainingBudget(
            max_rows=PRETRAINED_CELLS // len(shape.code_sizes), batch_size=min(256, affordable_batch(shape))
        )

        def make() -> nn.Module:
            fresh = ContextualInputs(shape)
            pretext = self.pretext(fresh, shape)
            pretrain(pretext, columns.rows_at(trial.train_rows), lambda rows: pretext(rows.codes), budget)
            return fresh

        load_pretrained(inputs, trial, (self.name, budget), make)


class TabTransformerMLMSystem(PretrainedTabTransformerSystem):
    name = "tabtransformer-mlm"
    about = (
        "TabTransformer pretrained to guess 30 % of each row's categories, masked (1.5 million cells seen), then fine-tuned "
        "whole"
    )

    def pretext(self, inputs: ContextualInputs, shape: RowShape) -> nn.Module:
        return MaskedCategories(inputs, shape)


class TabTransformerRTDSystem(PretrainedTabTransformerSystem):
    name = "tabtransformer-rtd"
    about = (
        "TabTransformer pretrained to tell which 30 % of each row's categories were replaced, one output per column (1.5 "
        "million cells seen), then fine-tuned whole"
    )

    def pretext(self, inputs: ContextualInputs, shape: RowShape) -> nn.Module:
        return ReplacedCategories(inputs, shape)


class MaskedCategories(nn.Module):
    """Guess masked categories (§2, "Pre-training the Embeddings": MLM). Shape: codes int64 [b, m] -> a scalar."""

    def __init__(self, inputs: ContextualInputs, shape: RowShape) -> None:
        super().__init__()
        self.inputs = inputs
        self.guesses = nn.ModuleList(nn.Linear(WIDTH, size) for size in shape.code_sizes)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy over masked cells that hold a value."""
        is_masked = chosen_cells(codes) & (codes != MISSING)
        contextual = self.inputs.contextual(codes.masked_fill(is_masked, MISSING))
        losses = []
        for i, guess in enumerate(self.guesses):
            rows = is_masked[:, i].nonzero()[:, 0]
            guessed = guess(contextual[:, i].index_select(0, rows))
            losses.append(
                functional.cross_entropy(guessed, codes[:, i].index_select(0, rows), reduction="sum")
            )
        return torch.stack(losses).sum() / is_masked.sum().clamp(min=1)


class ReplacedCategories(nn.Module):
    """Tell replaced categories (§2: RTD), replacements drawn uniformly from the column's and anew each time.

    A replacement that is the value itself counts as none. Shape: codes int64 [b, m] -> a scalar.
    """

    num_categories: torch.Tensor

    def __init__(self, inputs: ContextualInputs, shape: RowShape) -> None:
        super().__init__()
        self.inputs = inputs
        self.outputs = nn.Parameter(torch.randn(len(shape.code_sizes), WIDTH) * WIDTH**-0.5)
        self.bias = nn.Parameter(torch.zeros(len(shape.code_sizes)))
        sizes = torch.tensor(shape.code_sizes) - FIRST_KNOWN
        self.register_buffer("num_categories", sizes.clamp(min=1), persistent=False)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Mean binary cross-entropy over all cells."""
        drawn = FIRST_KNOWN + (torch.rand(codes.shape) * self.num_categories).to(torch.int64)
        shown = torch.where(chosen_cells(codes) & (codes != MISSING), drawn, codes)
        logits = (self.inputs.contextual(shown) * self.outputs).sum(dim=2) + self.bias
        return functional.binary_cross_entropy_with_logits(logits, (shown != codes).to(logits.dtype))


def chosen_cells(codes: torch.Tensor) -> torch.Tensor:
    """Whether a cell is among the row's 30 %, at least one; codes [b, m] -> bool [b, m]."""
    num_chosen = max(1, round(CORRUPTED_SHARE * codes.shape[1]))
    return torch.rand(codes.shape).argsort(dim=1) < num_chosen
