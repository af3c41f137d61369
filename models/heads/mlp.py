"""`mlp`: a few networks of one hidden layer on the row features, trained side by side and averaged.

Where a linear map is not enough and labels are many it bends, and still ends in the encoder pass that all heads of a view
share. The average of several small networks is steadier than one (deep ensembles: Lakshminarayanan et al., arXiv
1612.01474), and is itself one network with all their hidden units.

Shape letters: `n` fitted rows, `m` rows in folds, `b` rows of a batch, `F` row features, `M` networks, `H` hidden units of
each, `O` outputs, `V` numbers of epochs.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch.nn import functional

from models.features.schema import Task
from models.heads.choosing import choose_variant
from models.heads.finishing import Finishing
from models.heads.linear import StandardisedLabels
from models.heads.mlp_head import MLPHead
from models.heads.prediction import FloatArray, IndexArray
from models.heads.problem import HeadFit, HeadProblem

EPOCHS = (1, 2, 3, 4, 6, 8, 12)
"""Numbers of passes over the labels to choose from."""
UNJUDGED = EPOCHS.index(3)  # of them, where there are no folds or no time for them
MAX_REPEATS = 1
NUM_NETWORKS = 4
HIDDEN_UNITS = 128
INPUT_SCALE = 10.0  # of scaled features, whose total variance is 2: rows come in about 14 long
DROPOUT = 0.3
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
MIN_BATCH, MAX_BATCH, BATCHES_PER_EPOCH = 16, 128, 64
SCORED_ROWS = 2_048
CHECK_EVERY = 10  # steps between two looks at whether to stop
NOT_JUDGED = "networks were not cross-validated: time is short; raise max_seconds to change that"


class MLPHeadConfig(BaseModel):
    """Small networks; the number of epochs is chosen by cross-validation inside the labels, so there are no options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mlp"] = "mlp"
    learns_from_labels: ClassVar[bool] = True

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Choose the number of epochs, fit, calibrate and judge out of fold.

        Raises:
            Interrupted: the caller asked to stop.
        """
        return _Fitting(problem).run()


class _Fitting:
    """One fit: what all divisions share."""

    def __init__(self, problem: HeadProblem) -> None:
        self.problem = problem
        self.target = StandardisedLabels.of(problem)

    def run(self) -> HeadFit:
        problem = self.problem
        chosen = choose_variant(
            problem, self._fit_and_score, stand_in=UNJUDGED, max_repeats=MAX_REPEATS, not_judged=NOT_JUDGED
        )
        wanted = EPOCHS[chosen.variant]
        networks = _Networks(problem, self.target, np.arange(len(problem.labels)), seed=0)
        num_epochs = 0
        while num_epochs < wanted and (num_epochs == 0 or problem.pace.seconds_left > 0.0):
            networks.train_epoch()
            num_epochs += 1
        warnings: tuple[str, ...] = ()
        if num_epochs < wanted:
            warnings = (f"networks were trained for {num_epochs} of {wanted} epochs: time was short",)
        return chosen.head_fit(problem, networks.head(chosen.finishing), {"num_epochs": num_epochs}, warnings)

    def _fit_and_score(self, fitted: IndexArray, held_out: IndexArray, division: int) -> FloatArray:
        """Scores [V, b, O] after each number of epochs, of one run."""
        networks = _Networks(self.problem, self.target, fitted, seed=division + 1)
        scores = []
        for epoch in range(1, EPOCHS[-1] + 1):
            networks.train_epoch()
            if epoch in EPOCHS:
                scores.append(networks.scores(held_out))
        return np.stack(scores)


class _Networks:
    """M networks that see the same batches, each with weights and dropout of its own.

    Shape: `hidden_weight` [M·H, F] and `hidden_bias` [M·H] on scaled features; `weight` [M, O, H], `bias` [M, O].
    """

    def __init__(
        self, problem: HeadProblem, target: StandardisedLabels, rows: IndexArray, *, seed: int
    ) -> None:
        self.problem, self.target = problem, target
        self.rows = torch.from_numpy(rows)
        weights = problem.weights[rows]
        self.weights = torch.from_numpy(weights / weights.mean()).float()
        labels = torch.from_numpy(target.of_rows(rows))
        self.labels = labels.long() if problem.task is Task.MULTICLASS else labels.float()
        self.generator = torch.Generator().manual_seed(seed)
        num_features, num_outputs = problem.features.shape[1], problem.num_outputs
        self.hidden_weight = self._uniform(NUM_NETWORKS * HIDDEN_UNITS, num_features, fan_in=num_features)
        self.hidden_bias = self._uniform(NUM_NETWORKS * HIDDEN_UNITS, fan_in=num_features)
        self.weight = self._uniform(NUM_NETWORKS, num_outputs, HIDDEN_UNITS, fan_in=HIDDEN_UNITS)
        self.bias = self._uniform(NUM_NETWORKS, num_outputs, fan_in=HIDDEN_UNITS)
        parameters = [self.hidden_weight, self.hidden_bias, self.weight, self.bias]
        self.optimizer = torch.optim.AdamW(
            parameters, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
        )

    def _uniform(self, *shape: int, fan_in: int) -> torch.Tensor:
        bound = max(fan_in, 1) ** -0.5
        return torch.empty(shape).uniform_(-bound, bound, generator=self.generator).requires_grad_(True)

    @torch.enable_grad()
    def train_epoch(self) -> None:
        """Every row once.

        Raises:
            Interrupted: the caller asked to stop.
        """
        batch = min(MAX_BATCH, max(MIN_BATCH, len(self.rows) // BATCHES_PER_EPOCH))
        order = torch.randperm(len(self.rows), generator=self.generator)
        for number, places in enumerate(torch.split(order, batch)):
            if number % CHECK_EVERY == 0:
                self.problem.pace.check()
            outputs = self._outputs(self.rows[places], is_training=True)
            losses = self._losses(outputs, self.labels[places])
            self.optimizer.zero_grad()
            # Summed over networks, so that each is trained as if it were alone.
            (losses * self.weights[places]).mean(dim=1).sum().backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()

    @torch.no_grad()
    def scores(self, rows: IndexArray) -> FloatArray:
        """Mean outputs of the networks, float64 [b, O], on the labels' own scale."""
        parts = [
            self._outputs(part, is_training=False).mean(dim=0)
            for part in torch.split(torch.from_numpy(rows), SCORED_ROWS)
        ]
        return np.asarray(torch.cat(parts).double().numpy() * self.target.spread + self.target.centre)

    def head(self, finishing: Finishing) -> MLPHead:
        """All networks as one, on raw row features."""
        problem, target = self.problem, self.target
        hidden_weight, hidden_bias = problem.scaling.fold(
            self.hidden_weight.detach().double() * INPUT_SCALE, self.hidden_bias.detach().double()
        )
        weight = self.weight.detach().double().permute(1, 0, 2).flatten(1) / NUM_NETWORKS
        bias = self.bias.detach().double().mean(dim=0)
        return MLPHead(
            problem.task,
            problem.classes,
            problem.view,
            problem.encoder_fingerprint,
            hidden_weight,
            hidden_bias,
            (weight * target.spread).float(),
            (bias * target.spread + target.centre).float(),
            finishing,
        )

    def _outputs(self, rows: torch.Tensor, *, is_training: bool) -> torch.Tensor:
        """Logits or standardised values [M, b, O]."""
        features = self.problem.scaling.apply(self.problem.features[rows]) * INPUT_SCALE
        hidden = functional.linear(features, self.hidden_weight, self.hidden_bias).relu()
        if is_training:
            kept = torch.rand(hidden.shape, generator=self.generator) >= DROPOUT
            hidden = hidden * kept / (1.0 - DROPOUT)
        by_network = hidden.view(-1, NUM_NETWORKS, HIDDEN_UNITS).transpose(0, 1)
        return torch.baddbmm(self.bias.unsqueeze(1), by_network, self.weight.transpose(1, 2))

    def _losses(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Of each network and row, [M, b]."""
        repeated = labels.expand(len(outputs), -1)
        if self.problem.task is Task.REGRESSION:
            return 0.5 * (outputs[..., 0] - repeated).square()
        if self.problem.task is Task.BINARY:
            return functional.binary_cross_entropy_with_logits(outputs[..., 0], repeated, reduction="none")
        return functional.cross_entropy(outputs.transpose(1, 2), repeated, reduction="none")
