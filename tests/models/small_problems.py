"""Tiny problems for head tests: normal features, of which the first few decide the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from models.encoders.base import Encoded, Encoder
from models.encoders.raw_features import FeatureKind
from models.encoders.tuning import TunableEncoder, with_weights
from models.features.codec import CategoricalColumn, ContinuousColumn
from models.features.column_values import ColumnValues
from models.features.schema import JsonScalar, Task
from models.heads.folds import MAX_ROWS, divide
from models.heads.prediction import (
    ColumnValuesPass,
    FittedHead,
    FloatArray,
    HiddenColumnPass,
    Inputs,
    Pass,
    TunedEncoderPass,
)
from models.heads.problem import GuessedColumn, HeadProblem
from models.heads.scaling import FeatureScaling
from models.layers.column_outputs import NUM_EXTRA_CLASSES

FINGERPRINT = "e" * 64
VIEW = ("colour", "price")
NUM_GUESSED_VALUES = 9


def class_names(task: Task, num_classes: int) -> tuple[JsonScalar, ...] | None:
    return None if task is Task.REGRESSION else tuple(f"class {i}" for i in range(num_classes))


def features_of(num_rows: int, num_features: int = 6, seed: int = 0) -> torch.Tensor:
    """[n, F] float32, neither centred nor on one scale, as row features are."""
    rng = np.random.default_rng([seed, num_rows])
    scale = 10.0 ** rng.uniform(-1, 1, num_features)
    return torch.from_numpy((rng.normal(size=(num_rows, num_features)) * scale + scale).astype(np.float32))


def labels_of(
    features: torch.Tensor, task: Task, *, num_classes: int = 3, noise: float = 0.3, seed: int = 0
) -> FloatArray:
    """A linear function of the standardised features and noise: its value, its sign or its largest output."""
    rng = np.random.default_rng([seed, 1])
    wide = features.double().numpy()
    wide = (wide - wide.mean(axis=0)) / wide.std(axis=0)
    num_outputs = num_classes if task is Task.MULTICLASS else 1
    scores = wide @ rng.normal(size=(wide.shape[1], num_outputs)) / np.sqrt(wide.shape[1])
    scores = scores + noise * rng.normal(size=scores.shape)
    if task is Task.REGRESSION:
        return np.asarray(100.0 + 7.0 * scores[:, 0], dtype=np.float64)
    if task is Task.BINARY:
        return np.asarray((scores[:, 0] > 0).astype(np.float64))
    return np.asarray(scores.argmax(axis=1), dtype=np.float64)


def problem_of(
    features: torch.Tensor,
    labels: FloatArray,
    task: Task,
    *,
    num_classes: int | None = None,
    weights: FloatArray | None = None,
    seed: int = 0,
    max_fold_rows: int = MAX_ROWS,
) -> HeadProblem:
    """All features count as raw ones; folds as `divide` gives them."""
    if num_classes is None:
        num_classes = 2 if task is Task.BINARY else int(labels.max()) + 1
    return HeadProblem(
        task=task,
        classes=class_names(task, num_classes),
        view=VIEW,
        encoder_fingerprint=FINGERPRINT,
        features=features,
        columns=columns_of(features),
        scaling=FeatureScaling.fit(features, torch.full((features.shape[1],), FeatureKind.BIN)),
        labels=labels,
        weights=np.ones(len(labels)) if weights is None else weights / weights.mean(),
        folds=divide(labels, task, generator=np.random.default_rng(seed), max_rows=max_fold_rows),
        guessed=guessed_column(task),
        plain_scaling=FeatureScaling.of_columns(
            features, torch.full((features.shape[1],), FeatureKind.VALUE), torch.arange(features.shape[1])
        ),
        tunable=tunable_of(features),
    )


def small_problem(task: Task, *, num_rows: int = 80, num_features: int = 6, seed: int = 0) -> HeadProblem:
    features = features_of(num_rows, num_features, seed)
    return problem_of(features, labels_of(features, task, noise=1.0, seed=seed), task, seed=seed)


def without_folds(problem: HeadProblem) -> HeadProblem:
    return replace(problem, folds=None)


def columns_of(features: torch.Tensor) -> ColumnValues:
    """The same rows as plain numbers: nothing about heads that read columns needs them to be other ones."""
    return ColumnValues(features, 0)


class ScaledColumns(Encoder):
    """An encoder of one learned factor per column, after a block of none: its row features are the columns themselves.

    Shape: `codes_fraction` [B, C] -> cls [B, 1], the last column, and tokens [B, C - 1, 1].
    """

    d_model = 1

    def __init__(self, num_columns: int) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.ones(num_columns))

    def forward(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> Encoded:
        scaled = codes_fraction * self.identity[columns]
        return Encoded(scaled[:, -1:], scaled[:, :-1, None], None)

    def num_context_tokens(self, columns: Sequence[int]) -> int:
        return len(columns) - 1

    def freeze(self) -> Encoder:
        self.eval().requires_grad_(False)
        return self


def tunable_of(features: torch.Tensor) -> TunableEncoder:
    """An encoder that gives these features [n, F], and can be tuned."""
    num_features = features.shape[1]
    encoder = ScaledColumns(num_features).freeze()
    index = torch.zeros(features.shape, dtype=torch.int32)
    return TunableEncoder(encoder, index, features, torch.arange(num_features))


def inputs_of(head: FittedHead, features: torch.Tensor) -> Inputs:
    """What a head reads for rows of these features [n, F]: a guess of a hidden column is any fixed function of them."""
    return tuple(_input_of(need, features) for need in head.needs)


def logits_of(head: FittedHead, features: torch.Tensor) -> torch.Tensor:
    """The one input of a head that has one."""
    (logits,) = inputs_of(head, features)
    return logits


def _input_of(need: Pass, features: torch.Tensor) -> torch.Tensor:
    if isinstance(need, HiddenColumnPass):
        generator = torch.Generator().manual_seed(0)
        weight = torch.randn(features.shape[1], NUM_GUESSED_VALUES + NUM_EXTRA_CLASSES, generator=generator)
        return features @ (weight / features.std(dim=0, correction=0).unsqueeze(1))
    if isinstance(need, ColumnValuesPass):
        return columns_of(features).values
    if isinstance(need, TunedEncoderPass):
        tunable = tunable_of(features)
        with torch.no_grad():
            encoded = with_weights(tunable.encoder, need.encoder)(
                tunable.index, tunable.fraction, tunable.columns
            )
        features = torch.cat([encoded.context.flatten(1), encoded.cls], dim=1)
    return features @ need.weight.T + need.bias


def guessed_column(task: Task) -> GuessedColumn:
    """The target's own column as an encoder may know it: a category per class, or knots with numbers between them."""
    shares = tuple([1.0 / NUM_GUESSED_VALUES] * NUM_GUESSED_VALUES)
    column: CategoricalColumn | ContinuousColumn
    if task is Task.REGRESSION:
        column = ContinuousColumn(
            name=VIEW[0],
            storage_type="float",
            missing_fraction=0.0,
            knots=tuple(float(i * i) for i in range(NUM_GUESSED_VALUES)),
            median_position=4.0,
            frequencies=shares,
        )
        return GuessedColumn(column, np.linspace(0.5, 0.0, NUM_GUESSED_VALUES))
    names = class_names(task, NUM_GUESSED_VALUES)
    assert names is not None
    column = CategoricalColumn(
        name=VIEW[0],
        storage_type="string",
        missing_fraction=0.0,
        categories=tuple(str(name) for name in reversed(names)),
        frequencies=shares,
    )
    return GuessedColumn(column, np.zeros(NUM_GUESSED_VALUES))
