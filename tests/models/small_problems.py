"""Tiny problems for head tests: normal features, of which the first few decide the label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.features.schema import JsonScalar, Task
from models.heads.folds import MAX_ROWS, divide
from models.heads.prediction import FittedHead, FloatArray
from models.heads.problem import HeadProblem
from models.heads.scaling import FeatureScaling

FINGERPRINT = "e" * 64
VIEW = ("colour", "price")


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
        scaling=FeatureScaling.fit(features, torch.ones(features.shape[1], dtype=torch.bool)),
        labels=labels,
        weights=np.ones(len(labels)) if weights is None else weights / weights.mean(),
        folds=divide(labels, task, generator=np.random.default_rng(seed), max_rows=max_fold_rows),
    )


def small_problem(task: Task, *, num_rows: int = 80, num_features: int = 6, seed: int = 0) -> HeadProblem:
    features = features_of(num_rows, num_features, seed)
    return problem_of(features, labels_of(features, task, noise=1.0, seed=seed), task, seed=seed)


def without_folds(problem: HeadProblem) -> HeadProblem:
    return replace(problem, folds=None)


def logits_of(head: FittedHead, features: torch.Tensor) -> torch.Tensor:
    return features @ head.weight.T + head.bias
