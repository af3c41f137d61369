"""One pretraining run: weights, optimiser, random state; a step, a look at held-out rows, export and import.

Everything that decides the next step is in `export`, so a run that imports it goes on bit for bit on the CPU (same
number of threads, same torch).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from models.encoders import Encoder, EncoderConfig
from models.features.codec import Codec
from models.objectives import Objective, ObjectiveConfig
from models.training.adamw import FlatAdamW
from models.training.checkpoint import Checkpoint, flatten, unflatten
from models.training.pretraining_plan import PretrainingData, learning_rate

MASK_SEED_OFFSET = 1  # held-out masks and held-out rows come from different seeds


class PretrainingRun:
    """Weights on their way; `step` counts finished steps."""

    def __init__(
        self,
        data: PretrainingData,
        codec: Codec,
        architecture: EncoderConfig,
        objectives: Sequence[ObjectiveConfig],
        *,
        batch_rows: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.data = data
        self.batch_rows = batch_rows
        self.seed = seed
        self.generator = torch.Generator().manual_seed(seed)
        self.encoder: Encoder = architecture.build(codec, generator=self.generator).to(device)
        self.objectives: list[Objective] = [
            config.build(codec, self.encoder, generator=self.generator).to(device) for config in objectives
        ]
        self.module = nn.ModuleDict({"encoder": self.encoder, "objectives": nn.ModuleList(self.objectives)})
        self.optimizer = FlatAdamW(*_decayed_and_others(self.module))
        self.step = 0
        self.recent_loss = 0.0
        self.best_loss = float("inf")
        self.best_step = 0
        self.best: dict[str, torch.Tensor] = {}
        self.curve: list[tuple[int, float]] = []  # (step, held-out loss)
        self._epoch = -1
        self._epoch_state = self.generator.get_state()
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def batches_per_epoch(self) -> int:
        return max(1, len(self.data.codes) // self.batch_rows)

    def train_step(self, num_steps: int) -> None:
        """One optimiser step of `num_steps` in all."""
        batch = self.data.codes.select_rows(self._next_rows())
        loss = torch.stack(
            [
                objective.loss(self.encoder, batch.index, batch.fraction, generator=self.generator)
                for objective in self.objectives
            ]
        ).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(learning_rate(self.step, num_steps))
        self.recent_loss = float(loss.detach())
        self.step += 1

    def evaluate(self) -> float:
        """Held-out loss in nats per hidden cell, at the same masks every time; keeps the best weights."""
        self.module.eval()
        losses = [
            objective.held_out_loss(self.encoder, self.data.held_out, seed=self.seed + MASK_SEED_OFFSET)
            for objective in self.objectives
        ]
        self.module.train()
        loss = sum(losses)
        self.curve.append((self.step, loss))
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self.best = flatten("best", self.module.state_dict())
        return loss

    def num_evaluations_since_best(self) -> int:
        """Looks at held-out rows since the best one."""
        return sum(1 for step, _ in self.curve if step > self.best_step)

    def restore_best(self) -> None:
        """Go back to the weights with the lowest held-out loss."""
        if self.best:
            self.module.load_state_dict(unflatten("best", self.best))

    def export(self) -> Checkpoint:
        """Everything that decides how the run goes on."""
        tensors = flatten("module", self.module.state_dict()) | dict(self.best)
        tensors |= flatten("optimizer", self.optimizer.export())
        tensors["generator"] = self.generator.get_state()
        tensors["epoch_generator"] = self._epoch_state.clone()
        state: dict[str, Any] = {
            "step": self.step,
            "epoch": self._epoch,
            "batch_rows": self.batch_rows,
            "best_loss": self.best_loss if self.best else None,
            "best_step": self.best_step,
            "curve": self.curve,
            "recent_loss": self.recent_loss,
        }
        return Checkpoint(tensors, state)

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue where `export` was called."""
        tensors, state = checkpoint.tensors, checkpoint.state
        self.module.load_state_dict(unflatten("module", tensors))
        self.optimizer.load(unflatten("optimizer", tensors), num_steps=state["step"])
        self.best = {name: tensor for name, tensor in tensors.items() if name.startswith("best/")}
        self.step, self.best_step = state["step"], state["best_step"]
        self.best_loss = float("inf") if state["best_loss"] is None else state["best_loss"]
        self.curve = [(step, loss) for step, loss in state["curve"]]
        self.recent_loss = state["recent_loss"]
        if state["epoch"] >= 0:
            # The order of an epoch is not stored: it follows from the generator at the epoch's start.
            self.generator.set_state(tensors["epoch_generator"])
            self._start_epoch(state["epoch"])
        self.generator.set_state(tensors["generator"])

    def _next_rows(self) -> torch.Tensor:
        epoch, batch = divmod(self.step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._start_epoch(epoch)
        return self._order[batch * self.batch_rows : (batch + 1) * self.batch_rows]

    def _start_epoch(self, epoch: int) -> None:
        self._epoch_state = self.generator.get_state()
        self._order = torch.randperm(len(self.data.codes), generator=self.generator)
        self._epoch = epoch


def _decayed_and_others(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of linear layers, and the rest: lookup tables, outputs and vectors, which weight decay would starve."""
    decayed = [layer.get_parameter("weight") for layer in module.modules() if isinstance(layer, nn.Linear)]
    ids = {id(parameter) for parameter in decayed}
    return decayed, [parameter for parameter in module.parameters() if id(parameter) not in ids]
