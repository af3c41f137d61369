"""The TabTransformer paper's multilayer perceptron, and what it adds to it: pruning, and losses on unlabelled rows.

arXiv 2012.06678, §3.1 and appendix B.1: embeddings of width 32 beside standardised numbers, two hidden layers of 4l and
2l units, SELU and batch normalisation. NOTE[DIFF]: one setting of rate, decay and dropout from the paper's search space
instead of 20 rounds of search.
"""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.quality.systems.neural_layers import EmbeddedInputs, Network
from benchmarks.quality.systems.neural_rows import RowShape
from benchmarks.quality.systems.neural_system import NeuralSystem
from benchmarks.quality.systems.unlabelled_objectives import EntropyRegularisation, PseudoLabels
from models.features.schema import Task

CLASSIFICATION = frozenset({Task.BINARY, Task.MULTICLASS})
PRUNE_EVERY = 10  # epochs (appendix B.1, k)
PRUNED_SHARE = (
    0.2  # of the weights still there: Morcos et al. 2019; inside the paper's search space of 5 to 50 %
)


class MLPSystem(NeuralSystem):
    name = "mlp"
    about = (
        "The TabTransformer paper's MLP (embeddings of 32, hidden 4l and 2l): AdamW at 1e-4, 30 epochs below 1,000 "
        "labels; with more at 1e-3, stopped after 5 epochs without a better AUC or loss on a fifth of them"
    )

    def network(self, shape: RowShape, num_outputs: int) -> nn.Module:
        return Network(EmbeddedInputs(shape), num_outputs)


class SparseMLPSystem(MLPSystem):
    """Iterative magnitude pruning (Morcos et al. 2019, arXiv 1906.02773), one-way as the paper does it."""

    name = "sparse-mlp"
    about = f"The MLP, {PRUNED_SHARE:.0%} of its remaining weights, the smallest, set to zero for good every {PRUNE_EVERY} epochs"

    def network(self, shape: RowShape, num_outputs: int) -> nn.Module:
        network = super().network(shape, num_outputs)
        for layer in linear_layers(network):
            make_prunable(layer)
        return network

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        if (epoch + 1) % PRUNE_EVERY == 0:
            prune(linear_layers(network), PRUNED_SHARE)


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


def make_prunable(layer: nn.Linear) -> None:
    """Weights that are pruned stay zero: the optimiser moves them by their past gradients too, and decays others.

    What is pruned is part of the layer's state: the best epoch's weights come back with the best epoch's pruning.
    """
    layer.register_buffer("is_kept", torch.ones_like(layer.weight, dtype=torch.bool))
    layer.register_forward_pre_hook(_hold)


def prune(layers: list[nn.Linear], share: float) -> None:
    """Set the smallest `share` of all weights still there to zero for good; `layers` are prunable."""
    kept = torch.cat([layer.weight.detach().abs()[layer.get_buffer("is_kept")] for layer in layers])
    if len(kept) == 0:
        return
    threshold = kept.kthvalue(max(1, int(share * len(kept)))).values
    for layer in layers:
        layer.get_buffer("is_kept").logical_and_(layer.weight.detach().abs() > threshold)
        _hold(layer, ())


def _hold(layer: nn.Module, inputs: object) -> None:
    with torch.no_grad():
        layer.get_parameter("weight").mul_(layer.get_buffer("is_kept"))


class MLPEntropySystem(MLPSystem):
    name = "mlp-entropy"
    about = (
        "The MLP with entropy regularisation: 0.5 × the mean entropy of 128 unlabelled rows beside each batch"
    )
    tasks = CLASSIFICATION
    penalty = EntropyRegularisation


class MLPPseudoSystem(MLPSystem):
    name = "mlp-pseudo"
    about = "The MLP with pseudo-labels of 128 unlabelled rows beside each batch, weight 0 to 3 between 30 and 70 % of the epochs"
    tasks = CLASSIFICATION
    penalty = PseudoLabels
