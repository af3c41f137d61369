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
from models.layers.column_outputs import ColumnOutputs
from models.objectives import Objective, ObjectiveConfig
from models.training.adamw import FlatAdamW
from models.training.checkpoint import Checkpoint, flatten, unflatten
from models.training.column_report import by_source
from models.training.pretraining_plan import PretrainingData, learning_rate

MASK_SEED_OFFSET = 1  # held-out masks and held-out rows come from different seeds
NO_OUTPUTS_NOTE = (
    "Without masked_columns nothing guesses hidden columns: there is no share of each column that the others explain, "
    "and no zero_shot head. detection_auc is how well another row's value is told from the own one (0.5 is chance)."
)
# Of one layer's tokens: 512 rows of 17 tokens with D=64 take 218 ms of one thread, 1,024 at once 490.
MAX_PART_BYTES = 4 << 20
MIN_FIRST_LOSS = 1e-3  # nats; below, there is nothing to learn (all columns constant, say)


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
        self.device = device
        self.held_out_seed = seed + MASK_SEED_OFFSET
        self.generator = torch.Generator().manual_seed(seed)
        # Of damage. A GPU draws its own, so that no codes cross over for it.
        self.damage_generator = self.generator
        if device.type != "cpu":
            self.damage_generator = torch.Generator(device).manual_seed(seed)
        self.encoder: Encoder = architecture.build(codec, generator=self.generator).to(device)
        self.objectives: list[Objective] = [
            config.build(codec, self.encoder, generator=self.generator).to(device) for config in objectives
        ]
        self.module = nn.ModuleDict({"encoder": self.encoder, "objectives": nn.ModuleList(self.objectives)})
        self.kinds = [config.kind for config in objectives]
        self.optimizer = FlatAdamW(*_decayed_and_others(self.module))
        self.step = 0
        self._recent_loss = torch.zeros(())
        self.best_loss = float("inf")
        self.best_step = 0
        self.best: dict[str, torch.Tensor] = {}
        self.first_losses: list[float] = []  # held-out, per objective, of untrained weights, in nats
        self.best_losses: list[float] = []
        self.curve: list[tuple[int, float]] = []  # (step, held-out loss)
        self._epoch = -1
        self._epoch_state = self.generator.get_state()
        self._order = torch.empty(0, dtype=torch.int64)

    @property
    def loss_weights(self) -> list[float]:
        """What each objective's loss counts: 1 for a single one, else 1 by its loss when nothing was learned.

        So objectives whose losses are of different sizes (nats per hidden cell, nats per cell) weigh alike.
        """
        if len(self.objectives) == 1 or not self.first_losses:
            return [1.0] * len(self.objectives)
        return [1.0 / max(loss, MIN_FIRST_LOSS) for loss in self.first_losses]

    @property
    def recent_loss(self) -> float:
        """Of the latest step. Read when it is asked for: a GPU is not waited for after every step."""
        return float(self._recent_loss)

    @property
    def batches_per_epoch(self) -> int:
        return max(1, len(self.data.codes) // self.batch_rows)

    def train_step(self, num_steps: int) -> None:
        """One optimiser step of `num_steps` in all, on one objective: several take turns.

        Measured on 12,000 rows of bank_marketing at equal processor time: 600 steps in turns left held-out losses of
        1.174 and 0.312 (masked and replaced columns), 300 steps on the sum of both 1.189 and 0.315.
        """
        rows = self._next_rows()
        number = self.step % len(self.objectives)
        total = torch.zeros((), device=self.device)
        for part in torch.split(rows, self._part_rows):
            total += self._backward(part, number, len(part) / len(rows))
        self.optimizer.step(learning_rate(self.step, num_steps))
        self._recent_loss = total
        self.step += 1

    @property
    def _part_rows(self) -> int:
        """Rows that go forward and backward at once; a batch of more takes several turns before the optimiser's."""
        row_bytes = 4 * self.encoder.d_model * (len(self.data.codes.names) + 1)
        num_parts = -(-self.batch_rows * row_bytes // MAX_PART_BYTES)
        return -(-self.batch_rows // num_parts)

    def _backward(self, rows: torch.Tensor, number: int, share: float) -> torch.Tensor:
        """Add the gradients of some rows' loss, counted as `share`; that share of the loss."""
        batch = self.data.codes.select_rows(rows).to(self.device)
        # On a GPU products are bfloat16, weights and optimiser float32 (not tried on one yet: the tests have none).
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = self.objectives[number].loss(
                self.encoder, batch.index, batch.fraction, generator=self.damage_generator
            )
        loss = loss * (self.loss_weights[number] * share)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def evaluate(self) -> float:
        """Held-out loss at the same draws every time; keeps the best weights.

        In nats per cell of a single objective; of several, the sum of their weighted losses (see `loss_weights`).
        """
        self.module.eval()
        losses = [
            objective.held_out_loss(self.encoder, self.data.held_out, seed=self.held_out_seed)
            for objective in self.objectives
        ]
        self.module.train()
        if not self.first_losses:
            self.first_losses = losses
        loss = sum(weight * found for weight, found in zip(self.loss_weights, losses, strict=True))
        self.curve.append((self.step, loss))
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.best_losses = loss, self.step, losses
            self.best = flatten("best", self.module.state_dict())
        return loss

    def num_evaluations_since_best(self) -> int:
        """Looks at held-out rows since the best one."""
        return sum(1 for step, _ in self.curve if step > self.best_step)

    def restore_best(self) -> None:
        """Go back to the weights with the lowest held-out loss."""
        if self.best:
            self.module.load_state_dict(unflatten("best", self.best))

    def column_outputs(self) -> ColumnOutputs | None:
        """Classifiers of hidden columns, on the CPU, where an objective trained some."""
        for objective in self.objectives:
            if objective.column_outputs is not None:
                return objective.column_outputs.cpu()
        return None

    def objective_report(self) -> dict[str, dict[str, float]]:
        """Per objective its held-out loss in nats, before and after, and what it counted."""
        best = self.best_losses or self.first_losses
        parts = zip(self.kinds, self.first_losses, best, self.loss_weights, strict=True)
        return {
            kind: {"before": round(before, 4), "after": round(after, 4), "weight": round(weight, 4)}
            for kind, before, after, weight in parts
        }

    def column_report(self, codec: Codec, *, max_tokens: int | None) -> dict[str, Any]:
        """What each column of the table is to the objectives; `columns_note` where that leaves a question open.

        `max_tokens` bounds what goes through the encoder for it.
        """
        columns: dict[str, dict[str, Any]] = {column.name: {} for column in codec.columns}
        held_out = self.data.held_out.to(torch.device("cpu"))
        for objective in self.objectives:
            found = objective.column_report(
                self.encoder, codec, held_out, seed=self.held_out_seed, max_tokens=max_tokens
            )
            for name, measures in found.items():
                columns[name] |= measures
        report: dict[str, Any] = {"columns": by_source(codec, columns)}
        if all(objective.column_outputs is None for objective in self.objectives):
            report["columns_note"] = NO_OUTPUTS_NOTE
        return report

    def export(self) -> Checkpoint:
        """Everything that decides how the run goes on."""
        tensors = flatten("module", self.module.state_dict()) | dict(self.best)
        tensors |= flatten("optimizer", self.optimizer.export())
        tensors["generator"] = self.generator.get_state()
        tensors["epoch_generator"] = self._epoch_state.clone()
        if self.damage_generator is not self.generator:
            tensors["damage_generator"] = self.damage_generator.get_state()
        state: dict[str, Any] = {
            "step": self.step,
            "epoch": self._epoch,
            "batch_rows": self.batch_rows,
            "best_loss": self.best_loss if self.best else None,
            "best_step": self.best_step,
            "first_losses": self.first_losses,
            "best_losses": self.best_losses,
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
        self.first_losses, self.best_losses = list(state["first_losses"]), list(state["best_losses"])
        self.curve = [(step, loss) for step, loss in state["curve"]]
        self._recent_loss = torch.tensor(state["recent_loss"])
        if state["epoch"] >= 0:
            # The order of an epoch is not stored: it follows from the generator at the epoch's start.
            self.generator.set_state(tensors["epoch_generator"])
            self._start_epoch(state["epoch"])
        self.generator.set_state(tensors["generator"])
        if self.damage_generator is not self.generator:
            state_on_device = tensors.get("damage_generator")
            if state_on_device is None:  # begun where there was none
                self.damage_generator.manual_seed(self.held_out_seed + self.step)
            else:
                self.damage_generator.set_state(state_on_device)

    def _next_rows(self) -> torch.Tensor:
        epoch, batch = divmod(self.step, self.batches_per_epoch)
        if epoch != self._epoch:
            self._start_epoch(epoch)
        return self._order[batch * self.batch_rows : (batch + 1) * self.batch_rows]

    def _start_epoch(self, epoch: int) -> None:
        self._epoch_state = self.generator.get_state()
        order = torch.randperm(len(self.data.codes), generator=self.generator)
        self._order = order.to(self.data.codes.index.device)
        self._epoch = epoch


def _decayed_and_others(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of linear layers, and the rest: lookup tables, outputs and vectors, which weight decay would starve."""
    decayed = [layer.get_parameter("weight") for layer in module.modules() if isinstance(layer, nn.Linear)]
    ids = {id(parameter) for parameter in decayed}
    return decayed, [parameter for parameter in module.parameters() if id(parameter) not in ids]
