"""Losses of the linear models, for many problems on the same rows at once.

Shape letters: `n` rows, `P` problems (divisions into training and held-out rows), `O` outputs.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch.nn import functional


class Loss(Protocol):
    """A convex loss of logits [n, P, O], per row and problem; labels are the object's own."""

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        """[n, P]."""

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        """Derivative by the logits, [n, P, O]."""

    def curvature(self, logits: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        """Second derivative along `direction` [n, P, O], [n, P]."""

    def typical_curvature(self, weights: torch.Tensor) -> torch.Tensor:
        """Curvature of each output at the constant model under row weights [n, P], [P, O]; for preconditioning."""

    def constant(self, weights: torch.Tensor) -> torch.Tensor:
        """Logits [P, O] of the best model without features."""


class SquaredLoss:
    """Half the squared error. Shape: `labels` [n]; one output."""

    def __init__(self, labels: torch.Tensor) -> None:
        self._labels = labels[:, None, None]

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        return 0.5 * (logits - self._labels).square().squeeze(2)

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        return logits - self._labels

    def curvature(self, logits: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        return direction.square().squeeze(2)

    def typical_curvature(self, weights: torch.Tensor) -> torch.Tensor:
        return weights.new_ones(weights.shape[1], 1)

    def constant(self, weights: torch.Tensor) -> torch.Tensor:
        return (weights.T @ self._labels[:, 0]) / weights.sum(dim=0)[:, None]


class BinaryLoss:
    """Logistic loss. Shape: `labels` [n], 0 or 1; one output."""

    def __init__(self, labels: torch.Tensor) -> None:
        self._labels = labels[:, None, None]

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        return (functional.softplus(logits) - self._labels * logits).squeeze(2)

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.sigmoid() - self._labels

    def curvature(self, logits: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        probability = logits.sigmoid()
        return (probability * (1.0 - probability) * direction.square()).squeeze(2)

    def typical_curvature(self, weights: torch.Tensor) -> torch.Tensor:
        rate = self._rate(weights)
        return rate * (1.0 - rate)

    def constant(self, weights: torch.Tensor) -> torch.Tensor:
        return self._rate(weights).logit()

    def _rate(self, weights: torch.Tensor) -> torch.Tensor:
        """Share of positives [P, 1], kept inside (0, 1) by half a label."""
        total = weights.sum(dim=0)[:, None]
        return (weights.T @ self._labels[:, 0] + 0.5) / (total + 1.0)


class MulticlassLoss:
    """Cross-entropy of the softmax. Shape: `labels` [n], class index; one output per class."""

    def __init__(self, labels: torch.Tensor, num_classes: int) -> None:
        self._labels = labels.long()
        self._one_hot = functional.one_hot(self._labels, num_classes)

    def value(self, logits: torch.Tensor) -> torch.Tensor:
        chosen = logits.gather(2, self._labels[:, None, None].expand(-1, logits.shape[1], 1)).squeeze(2)
        return logits.logsumexp(dim=2) - chosen

    def gradient(self, logits: torch.Tensor) -> torch.Tensor:
        gradient = logits.softmax(dim=2)
        return gradient.sub_(self._one_hot[:, None, :])

    def curvature(self, logits: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
        probability = logits.softmax(dim=2)
        weighted = probability * direction
        return (weighted * direction).sum(dim=2) - weighted.sum(dim=2).square()

    def typical_curvature(self, weights: torch.Tensor) -> torch.Tensor:
        rate = self._rates(weights)
        return rate * (1.0 - rate)

    def constant(self, weights: torch.Tensor) -> torch.Tensor:
        logits = self._rates(weights).log()
        return logits - logits.mean(dim=1, keepdim=True)

    def _rates(self, weights: torch.Tensor) -> torch.Tensor:
        """Share of each class [P, O], kept inside (0, 1) by half a label."""
        counts = weights.T @ self._one_hot.to(weights.dtype) + 0.5
        return counts / counts.sum(dim=1, keepdim=True)
