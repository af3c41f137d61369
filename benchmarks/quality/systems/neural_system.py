"""What all compared networks do alike, from a trial to probabilities or values.

Shape letters: `p` labelled rows, `b` rows to predict, `K` classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import polars as pl
import torch
from torch import nn

from benchmarks.quality.systems.confinement import seeded_torch
from benchmarks.quality.systems.inner_splits import LabelledRows
from benchmarks.quality.systems.neural_rows import NeuralColumns, RowShape
from benchmarks.quality.systems.neural_training import (
    MAX_JUDGED,
    Judged,
    Objective,
    TrainingBudget,
    predict,
    supervised,
    train,
)
from benchmarks.quality.systems.present_classes import fit_present_classes
from benchmarks.quality.systems.unlabelled_objectives import UnlabelledObjective
from benchmarks.quality.trial import FloatArray, Predict, Trial
from models.features.schema import Task

HELD_OUT = 0.2


class NeuralSystem(ABC):
    """A network, perhaps pretrained on all training rows, trained on the labelled ones; what differs is overridden."""

    name: str
    about: str
    tasks: frozenset[Task] = frozenset(Task)
    penalty: ClassVar[type[UnlabelledObjective] | None] = None
    """On what is predicted for rows without a label."""

    def __init__(self, budget: TrainingBudget | None = None) -> None:
        self.budget = budget or TrainingBudget()

    @abstractmethod
    def network(self, shape: RowShape, num_outputs: int) -> nn.Module:
        """A fresh one."""

    def pretrain(self, network: nn.Module, columns: NeuralColumns, trial: Trial) -> None:
        """Change the fresh network by the training rows; not at all unless overridden."""
        return

    def objective(self, columns: NeuralColumns, trial: Trial) -> Objective:
        """The loss of a batch: of its labels, and where there is a penalty of as many rows without."""
        if self.penalty is None:
            return supervised
        unlabelled = columns.rows_at(np.setdiff1d(trial.train_rows, trial.labelled_rows))
        return self.penalty(unlabelled, self.batch_size(len(trial.labels), columns.shape))

    def after_epoch(self, network: nn.Module, epoch: int) -> None:
        """Change the network between epochs; not at all unless overridden."""
        return

    def num_epochs(self, num_labels: int, shape: RowShape, *, is_stopped: bool) -> int:
        """Passes over the labels, at most where training `is_stopped` early, else exactly."""
        largest = self.budget.max_epochs if is_stopped else self.budget.few_epochs
        return max(1, min(largest, self.budget.max_rows // num_labels))

    def batch_size(self, num_labels: int, shape: RowShape) -> int:
        """Labelled rows in a step."""
        is_many = num_labels >= self.budget.many_labels
        return self.budget.many_batch_size if is_many else self.budget.batch_size

    def fit(self, trial: Trial) -> Predict:
        return fit_present_classes(trial, self._fit)

    def _fit(self, trial: Trial) -> Predict:
        is_regression = trial.task is Task.REGRESSION
        columns = NeuralColumns(trial)
        centre, scale = (
            (float(trial.labels.mean()), float(trial.labels.std())) if is_regression else (0.0, 1.0)
        )
        with seeded_torch(trial.threads, trial.seed):
            network = self.network(columns.shape, 1 if is_regression else len(trial.classes))
            self.pretrain(network, columns, trial)
            self._train(network, columns, trial, centre, scale)

        def predict_frame(frame: pl.DataFrame) -> FloatArray:
            with seeded_torch(trial.threads, trial.seed):
                outputs = predict(network, columns.rows(frame)).to(torch.float64)
                if is_regression:
                    return centre + scale * outputs[:, 0].numpy()
                return outputs.softmax(dim=1).numpy()

        return predict_frame

    def _train(
        self, network: nn.Module, columns: NeuralColumns, trial: Trial, centre: float, scale: float
    ) -> None:
        labelled, budget = LabelledRows.of(trial), self.budget
        is_many = labelled.num_labelled >= budget.many_labels
        is_stopped = trial.has_validation or is_many
        values = (labelled.labels - centre) / scale if trial.task is Task.REGRESSION else labelled.labels
        targets = torch.from_numpy(values.astype(np.float32 if trial.task is Task.REGRESSION else np.int64))
        fitted, judged = labelled.labelled, None
        if is_stopped:
            split = labelled.holdout(HELD_OUT)
            fitted = split.fitted
            shown = np.random.default_rng(trial.seed).permutation(split.judged)[:MAX_JUDGED]
            judged = Judged(columns.rows_at(labelled.rows[shown]), targets[torch.from_numpy(shown)])
        train(
            network,
            columns.rows_at(labelled.rows[fitted]),
            targets[torch.from_numpy(fitted)],
            objective=self.objective(columns, trial),
            learning_rate=budget.many_learning_rate if is_many else budget.learning_rate,
            weight_decay=budget.weight_decay,
            num_epochs=self.num_epochs(len(fitted), columns.shape, is_stopped=is_stopped),
            batch_size=self.batch_size(labelled.num_labelled, columns.shape),
            patience=budget.many_patience if is_many else budget.patience,
            judged=judged,
            after_epoch=lambda epoch: self.after_epoch(network, epoch),
        )
