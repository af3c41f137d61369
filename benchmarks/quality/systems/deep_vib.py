"""A deep variational information bottleneck (Alemi et al., arXiv 1612.00410), as the TabTransformer paper compares it.

Appendix B.1 there: a diagonal Gaussian, 10 samples in training and 20 in prediction, and a marginal that is a learned
mixture of Gaussians (arXiv 1807.00906).

Shape letters: `S` samples, `b` rows, `z` width of the bottleneck, `G` Gaussians of the marginal, `o` outputs.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from benchmarks.quality.systems.neural_layers import EmbeddedInputs, HiddenLayers
from benchmarks.quality.systems.neural_rows import NeuralColumns, Rows, RowShape
from benchmarks.quality.systems.neural_system import NeuralSystem
from benchmarks.quality.systems.neural_training import Objective, output_loss
from benchmarks.quality.trial import Trial

WIDTH = 32
NUM_GAUSSIANS = 5
TRAINING_SAMPLES, PREDICTION_SAMPLES = 10, 20
BETA = 1e-3  # the best of arXiv 1612.00410, figure 1
INITIAL_SPREAD = -5.0  # added before the softplus, as there: noise is small at first


class BottleneckNetwork(nn.Module):
    """Rows as Gaussians, and a linear layer on samples of them. Shape: Rows -> float32 [b, o]."""

    noise: torch.Tensor  # [S, 1, z]: the same for every row, so that a row's prediction is its own

    def __init__(self, shape: RowShape, num_outputs: int, *, is_classifier: bool) -> None:
        super().__init__()
        self.is_classifier = is_classifier
        self.inputs = EmbeddedInputs(shape)
        self.hidden = HiddenLayers(self.inputs.num_features)
        self.gaussian = nn.Linear(self.hidden.num_outputs, 2 * WIDTH)
        self.output = nn.Linear(WIDTH, num_outputs)
        self.mixture_weights = nn.Parameter(torch.zeros(NUM_GAUSSIANS))
        self.mixture_means = nn.Parameter(torch.randn(NUM_GAUSSIANS, WIDTH))
        self.mixture_spreads = nn.Parameter(torch.full((NUM_GAUSSIANS, WIDTH), math.log(math.e - 1)))
        self.register_buffer("noise", torch.randn(PREDICTION_SAMPLES, 1, WIDTH))

    def sample(self, rows: Rows, noise: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs of samples [S, b, o], and the rate in nats per row, a scalar."""
        mean, spread = self.gaussian(self.hidden(self.inputs(rows))).chunk(2, dim=1)
        scale = functional.softplus(spread + INITIAL_SPREAD) + 1e-4
        if noise is None:
            noise = torch.randn(TRAINING_SAMPLES, *mean.shape)
        samples = mean + scale * noise
        rate = (log_density(samples, mean, scale).sum(dim=2) - self._marginal(samples)).mean()
        return self.output(samples), rate

    def _marginal(self, samples: torch.Tensor) -> torch.Tensor:
        """Log-density of samples [S, b, z] under the mixture; [S, b]."""
        scales = functional.softplus(self.mixture_spreads) + 1e-4
        densities = log_density(samples.unsqueeze(2), self.mixture_means, scales).sum(dim=3)
        return torch.logsumexp(densities + self.mixture_weights.log_softmax(dim=0), dim=2)

    def forward(self, rows: Rows) -> torch.Tensor:
        """Log-probabilities of the mean over samples, or the mean value; shapes above."""
        outputs, _ = self.sample(rows, self.noise)
        if not self.is_classifier:
            return outputs.mean(dim=0)
        return torch.logsumexp(outputs.log_softmax(dim=2), dim=0) - math.log(PREDICTION_SAMPLES)


def log_density(values: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Of a Gaussian, element by element."""
    return -0.5 * ((values - mean) / scale).square() - scale.log() - 0.5 * math.log(2 * math.pi)


def bottleneck(network: nn.Module, rows: Rows, targets: torch.Tensor, progress: float) -> torch.Tensor:
    """The mean loss of samples and β × the rate (arXiv 1612.00410, equation 17)."""
    assert isinstance(network, BottleneckNetwork)
    outputs, rate = network.sample(rows, noise=None)
    return output_loss(outputs.flatten(0, 1), targets.repeat(len(outputs))) + BETA * rate


class DeepVIBSystem(NeuralSystem):
    name = "deep-vib"
    about = (
        f"The MLP's hidden layers, then a Gaussian bottleneck of {WIDTH} (β {BETA}, {TRAINING_SAMPLES} samples in training, "
        f"{PREDICTION_SAMPLES} in prediction) with a mixture of {NUM_GAUSSIANS} as its marginal; trained as the MLP"
    )

    def network(self, shape: RowShape, num_outputs: int) -> nn.Module:
        return BottleneckNetwork(shape, num_outputs, is_classifier=num_outputs > 1)

    def objective(self, columns: NeuralColumns, trial: Trial) -> Objective:
        return bottleneck
