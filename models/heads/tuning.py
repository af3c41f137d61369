"""Encoder and linear head trained together, from where pretraining and the linear solution left them.

The head starts from its own solution, so that the first gradients are about rows and not about a random head (linear
probing, then fine-tuning: Kumar et al., arXiv 2202.10054). Rates fall with the distance from the output (layer-wise decay:
Howard & Ruder, arXiv 1801.06146, section 3.2, "discriminative fine-tuning"). What is kept is the running mean of the
weights, which at a constant rate is as good as a rate that falls, at any length.

Shape letters: `n` rows trained on, `b` rows of a batch, `C'` columns, `F` row features, `L` learned ones among them, `O`
outputs, `P` numbers that move.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from models.encoders.tuning import TunableEncoder, trainable_copy, tuning_depth
from models.features.schema import Task
from models.heads.prediction import FloatArray
from models.heads.scaling import FeatureScaling

ENCODER_RATE = 1e-3  # of the last block and what follows it
HEAD_RATE = 1e-3
LAYER_DECAY = 0.7  # per block further from the output
MEAN_DECAY = 0.98  # of the running mean of weights, per step
WARM_STEPS = 50
MAX_BATCH = 128
SCORED_ROWS = 1_024
BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8
MAX_GRADIENT_NORM = 1.0


class Tuning:
    """One training run on the rows of `tunable`; `labels` and `weights` are those of the same rows.

    Shape: `fixed` [n, F - L], the row features that do not come from the encoder; `labels` [n], class index or standardised number; `weights` [n] of mean 1; `weight` [O, F] and `bias` [O] on scaled features, to start from.
    """

    def __init__(
        self,
        task: Task,
        tunable: TunableEncoder,
        fixed: torch.Tensor,
        scaling: FeatureScaling,
        labels: FloatArray,
        weights: FloatArray,
        start: tuple[torch.Tensor, torch.Tensor],
        *,
        seed: int,
    ) -> None:
        self.task, self.tunable, self.fixed, self.scaling = task, tunable, fixed, scaling
        self.labels = torch.from_numpy(labels)
        self.labels = self.labels.long() if task is Task.MULTICLASS else self.labels.float()
        self.weights = torch.from_numpy(weights).float()
        self.encoder = trainable_copy(tunable.encoder)
        self.weight, self.bias = (nn.Parameter(tensor.float().contiguous()) for tensor in start)
        self.generator = torch.Generator().manual_seed(seed)
        self.batch_rows = batch_rows(len(labels))
        self._optimizer = _MeanAdam(self._rates())
        self._pending: Iterator[torch.Tensor] = iter(())

    def step(self) -> None:
        """One batch; every row once before any comes again."""
        rows = next(self._pending, None)
        if rows is None:
            order = torch.randperm(len(self.labels), generator=self.generator)
            self._pending = iter(torch.split(order, self.batch_rows))
            rows = next(self._pending)
        with torch.enable_grad():
            outputs = self._outputs(self.tunable, self.fixed, rows)
            losses = self._losses(outputs, self.labels[rows])
            (losses * self.weights[rows]).mean().backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()

    @torch.no_grad()
    def scores(self, tunable: TunableEncoder, fixed: torch.Tensor) -> FloatArray:
        """Outputs float64 [rows, O] of the running mean so far for other rows."""
        with self._optimizer.mean_weights():
            parts = [
                self._outputs(tunable, fixed, rows)
                for rows in torch.split(torch.arange(len(fixed)), SCORED_ROWS)
            ]
        return torch.cat(parts).double().numpy()

    def weights_now(self) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        """The running mean: encoder weights by name, weight [O, F] and bias [O]; own copies."""
        with torch.no_grad(), self._optimizer.mean_weights():
            encoder = {name: tensor.clone() for name, tensor in self.encoder.state_dict().items()}
            return encoder, self.weight.detach().clone(), self.bias.detach().clone()

    def _outputs(self, tunable: TunableEncoder, fixed: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        index, fraction = tunable.index.index_select(0, rows), tunable.fraction.index_select(0, rows)
        encoded = self.encoder(index, fraction, tunable.columns)
        learned = torch.cat([encoded.context.flatten(1), encoded.cls], dim=1)
        scaled = self.scaling.apply(torch.cat([learned, fixed.index_select(0, rows)], dim=1))
        return functional.linear(scaled, self.weight, self.bias)

    def _losses(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Of each row, [b]."""
        if self.task is Task.REGRESSION:
            return 0.5 * (outputs[:, 0] - labels).square()
        if self.task is Task.BINARY:
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], labels, reduction="none")
        return functional.cross_entropy(outputs, labels, reduction="none")

    def _rates(self) -> list[tuple[nn.Parameter, float]]:
        names = [name for name, _ in self.encoder.named_parameters()]
        num_blocks = len({name.split(".")[1] for name in names if name.startswith("blocks.")})
        rates = [
            (parameter, ENCODER_RATE * LAYER_DECAY ** tuning_depth(name, num_blocks))
            for name, parameter in self.encoder.named_parameters()
        ]
        return [*rates, (self.weight, HEAD_RATE), (self.bias, HEAD_RATE)]


def batch_rows(num_rows: int) -> int:
    """Small batches for few rows, so that an epoch has some steps."""
    return min(MAX_BATCH, max(16, num_rows // 16))


class _MeanAdam:
    """Adam (arXiv 1412.6980) on one flat buffer, a rate per parameter, with a running mean of the values.

    No weight decay: the start is worth more than zero. Takes the parameters over: their data and gradients become views.

    Shape: all buffers float32 [P].
    """

    def __init__(self, rates: list[tuple[nn.Parameter, float]]) -> None:
        self._values = torch.cat([parameter.detach().reshape(-1) for parameter, _ in rates])
        self._rates = torch.cat([torch.full((parameter.numel(),), rate) for parameter, rate in rates])
        self._gradients = torch.zeros_like(self._values)
        self._first = torch.zeros_like(self._values)
        self._second = torch.zeros_like(self._values)
        self._mean = self._values.clone()
        self._num_steps = 0
        start = 0
        for parameter, _ in rates:
            part = slice(start, start + parameter.numel())
            parameter.data = self._values[part].view_as(parameter)
            parameter.grad = self._gradients[part].view_as(parameter)
            start = part.stop

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients, which are zero afterwards."""
        self._num_steps += 1
        step = self._num_steps
        gradients = self._gradients
        gradients.mul_((MAX_GRADIENT_NORM / (gradients.norm() + 1e-6)).clamp(max=1.0))
        self._first.lerp_(gradients, 1 - BETA1)
        self._second.mul_(BETA2).addcmul_(gradients, gradients, value=1 - BETA2)
        denominator = self._second.div(1 - BETA2**step).sqrt_().add_(EPSILON)
        move = self._first.div(denominator).mul_(self._rates)
        self._values.sub_(move, alpha=min(1.0, step / WARM_STEPS) / (1 - BETA1**step))
        self._mean.lerp_(self._values, 1 - min(MEAN_DECAY, step / (step + 10)))
        gradients.zero_()

    @contextmanager
    def mean_weights(self) -> Iterator[None]:
        """The parameters are the running mean within."""
        kept = self._values.clone()
        self._values.copy_(self._mean)
        try:
            yield
        finally:
            self._values.copy_(kept)
