"""Weights of a blend: few labels change little, many decide, and no row has a say in what judges it."""

from __future__ import annotations

import numpy as np
import pytest

from models.features.schema import Task
from models.heads.blending import LEAD, MIN_WEIGHT, blend_weights, out_of_fold_blend
from models.heads.folds import divide
from models.heads.prediction import FloatArray


def _members(num_rows: int, seed: int = 0) -> tuple[list[FloatArray], FloatArray]:
    """Binary labels; logits [n, 1] of a member that knows much and of one that knows nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(num_rows, 1)) * 2
    labels = (rng.random(num_rows) < 1 / (1 + np.exp(-truth[:, 0]))).astype(np.float64)
    return [truth, rng.normal(size=(num_rows, 1)) * 2], labels


def _weights(scores: list[FloatArray], labels: FloatArray, task: Task = Task.BINARY) -> FloatArray:
    return blend_weights(task, scores, labels, np.ones(len(labels)))


@pytest.mark.parametrize("num_members", [1, 2, 3, 4])
def test__blend_weights__equal_members__the_first_leads_and_all_sum_to_one(num_members: int) -> None:
    scores, labels = _members(200)
    found = _weights([scores[0]] * num_members, labels)
    assert found.sum() == pytest.approx(1.0)
    assert (found[0] >= found[1:]).all()
    assert np.ptp(found[1:]) < 1e-9 if num_members > 1 else found.tolist() == [1.0]


@pytest.mark.parametrize("better", [0, 1])
def test__blend_weights__many_labels__the_better_member_has_its_way(better: int) -> None:
    scores, labels = _members(3_000)
    found = _weights(scores if better == 0 else scores[::-1], labels)
    assert found[better] > 0.9


@pytest.mark.parametrize("num_rows", [12, 600])
def test__blend_weights__members_alike__follow_the_prior_however_few_labels(num_rows: int) -> None:
    scores, labels = _members(num_rows)
    first, *others = _weights([scores[0]] * 3, labels)
    assert first == pytest.approx(LEAD / (LEAD + 2.0), abs=0.05)
    assert others == pytest.approx([1.0 / (LEAD + 2.0)] * 2, abs=0.03)


def test__blend_weights__many_members_and_outputs__rows_are_fewer_and_the_best_still_wins() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 60, 2_000).astype(np.float64)
    knows = np.eye(60)[labels.astype(np.int64)] * 3.0
    members = [rng.normal(size=knows.shape) for _ in range(3)]
    found = _weights([*members, knows], labels, Task.MULTICLASS)
    assert found[3] > 0.9


def test__blend_weights__member_with_next_to_no_say__is_left_out() -> None:
    scores, labels = _members(3_000)
    found = _weights(scores, labels)
    assert all(weight == 0.0 or weight >= MIN_WEIGHT for weight in found)


def test__blend_weights__regression__the_smaller_errors_win() -> None:
    rng = np.random.default_rng(1)
    labels = rng.normal(size=500)
    near, far = labels + 0.1 * rng.normal(size=500), labels + rng.normal(size=500)
    found = _weights([far[:, None], near[:, None]], labels, Task.REGRESSION)
    assert found[1] > 0.9


def test__out_of_fold_blend__labels_of_a_fold_change__its_own_scores_do_not() -> None:
    scores, labels = _members(120)
    folds = divide(labels, Task.BINARY, generator=np.random.default_rng(0))
    assert folds is not None
    mine = folds.assignment[0] == 2
    before = out_of_fold_blend(Task.BINARY, scores, labels, np.ones(120), folds)
    after = out_of_fold_blend(Task.BINARY, scores, np.where(mine, 1.0 - labels, labels), np.ones(120), folds)
    assert np.array_equal(before[mine], after[mine])
    assert not np.array_equal(before[~mine], after[~mine])
