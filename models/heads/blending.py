"""How much each kind of head has to say in a blend: from out-of-fold scores, the less sure the fewer the labels.

Picking one kind by cross-validation at 50 labels is noisy, so nothing is picked: weights are averaged over all mixtures on
a grid, each with the probability that its out-of-fold likelihood and a prior give it (stacking, Wolpert 1992; averaged as
strengths are, see `models.heads.strength`). The prior leans on the linear head, whose answers are smooth: it counts twice
as much as any other.

It leans no further, however few the labels: then the linear head's out-of-fold likelihood flatters it anyway. Over 22
targets of two classes, 50 labels, its mean log-loss is .38 out of fold and .42 on other rows, a forest's .42 and .41.

Shape letters: `m` rows judged out of fold, `O` outputs, `M` members, `G` mixtures.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from models.features.schema import Task
from models.heads.blend_head import averaged
from models.heads.folds import Folds
from models.heads.losses import row_losses
from models.heads.prediction import FloatArray

MIN_WEIGHT = 0.03  # a member with less to say is left out
REAL_GAIN = 2.0  # standard errors
LEAD = 2.0  # prior share of the first member, in those of another
PRIOR_LABELS = 4.0  # what the prior counts
GRID_STEPS = 10
MAX_ROWS = 5_000  # mixtures are told apart well enough by these
MAX_TERMS = 15_000_000  # rows times outputs times mixtures, a third of a second; fewer rows from there on
MIN_ROWS = 500


def blend_weights(
    task: Task, scores: Sequence[FloatArray], labels: FloatArray, weights: FloatArray
) -> FloatArray:
    """Weights [M] of sum 1 for calibrated out-of-fold scores [M] of [m, O] at labels [m] with weights [m].

    The first member is the one that the prior leans on.
    """
    num_members = len(scores)
    if num_members == 1:
        return np.ones(1)
    num_rows = len(labels)
    grid = _grid(num_members)
    enough = min(MAX_ROWS, max(MIN_ROWS, MAX_TERMS // (scores[0].shape[1] * len(grid))))
    if num_rows > enough:
        kept = np.random.default_rng(0).choice(num_rows, enough, replace=False)
        scores, labels, weights = [part[kept] for part in scores], labels[kept], weights[kept]
    shares = weights / weights.sum()
    losses = np.array([shares @ row_losses(task, averaged(scores, mixture), labels) for mixture in grid])
    log_density = -_nats(task, losses, num_rows) + _log_prior(grid)
    density = np.exp(log_density - log_density.max())
    found = np.asarray(density @ grid / density.sum())
    found[found < MIN_WEIGHT] = 0.0
    return np.asarray(found / found.sum())


def out_of_fold_blend(
    task: Task, scores: Sequence[FloatArray], labels: FloatArray, weights: FloatArray, folds: Folds
) -> FloatArray:
    """Scores [m, O] of the blend where a fold's rows had no say in the weights."""
    found = np.empty_like(scores[0])
    assignment = folds.assignment[0]
    for fold in range(folds.num_folds):
        held_out = assignment == fold
        kept = ~held_out
        say = blend_weights(task, [part[kept] for part in scores], labels[kept], weights[kept])
        found[held_out] = averaged([part[held_out] for part in scores], say.tolist())
    return found


def is_real_gain(
    task: Task, less: FloatArray, more: FloatArray, labels: FloatArray, weights: FloatArray
) -> bool:
    """Whether the scores `more` [m, O] have smaller losses than `less` by more than noise, row beside row."""
    gains = row_losses(task, less, labels) - row_losses(task, more, labels)
    shares = weights / weights.sum()
    mean = float(shares @ gains)
    error = float(np.sqrt(np.square(shares * (gains - mean)).sum()))
    return mean > REAL_GAIN * error


def _grid(num_members: int) -> FloatArray:
    """All mixtures [G, M] in steps of a tenth."""
    found = [
        mixture
        for mixture in itertools.product(range(GRID_STEPS + 1), repeat=num_members)
        if sum(mixture) == GRID_STEPS
    ]
    return np.array(found) / GRID_STEPS


def _nats(task: Task, losses: FloatArray, num_rows: int) -> FloatArray:
    """Negative log-likelihood [G] of mean losses [G]."""
    if task is Task.REGRESSION:
        return np.asarray(0.5 * num_rows * np.log(np.maximum(losses, 1e-300)))
    return np.asarray(num_rows * losses)


def _log_prior(grid: FloatArray) -> FloatArray:
    """Logarithm [G] of a Dirichlet density, up to a constant."""
    counts = np.ones(grid.shape[1])
    counts[0] = LEAD
    exponents = 0.5 + PRIOR_LABELS * counts / counts.sum() - 1.0
    return np.asarray(np.log(np.maximum(grid, 0.5 / GRID_STEPS)) @ exponents)
