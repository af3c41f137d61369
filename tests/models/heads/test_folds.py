"""Folds: every class in its share, every training part fit to be trained on, groups whole, the same for one seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.schema import Task
from models.heads.folds import NUM_FOLDS, Folds, divide
from models.heads.prediction import FloatArray, IndexArray

CLASS_COUNTS = st.lists(st.integers(0, 30), min_size=2, max_size=6)
SEEDS = st.integers(0, 2**32 - 1)


def _labels(counts: list[int], seed: int) -> FloatArray:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.float64)
    return np.random.default_rng(seed).permutation(labels)


def _divide(labels: FloatArray, task: Task, seed: int = 0, groups: IndexArray | None = None) -> Folds | None:
    return divide(labels, task, generator=np.random.default_rng(seed), groups=groups)


def _assert_trainable(folds: Folds, labels: FloatArray) -> None:
    """Every training part has two classes, every fold a row to judge."""
    masks = folds.training_masks()
    assert masks.shape == (len(folds.rows), folds.num_repeats * folds.num_folds)
    for mask in masks.T:
        assert not mask.all()
        assert len(np.unique(labels[folds.rows][mask])) >= 2


@given(CLASS_COUNTS, SEEDS)
@settings(max_examples=80, deadline=None)
def test__folds__any_classes__stratified_and_trainable(counts: list[int], seed: int) -> None:
    labels = _labels(counts, seed)
    folds = _divide(labels, Task.MULTICLASS, seed)
    if sorted(counts)[-2] < 2:
        assert folds is None
        return
    assert folds is not None
    assert 2 <= folds.num_folds <= NUM_FOLDS
    _assert_trainable(folds, labels)
    for assignment in folds.assignment:
        sizes = np.bincount(assignment, minlength=folds.num_folds)
        assert np.ptp(sizes) <= 1
        for number in np.unique(labels):
            of_class = np.bincount(assignment[labels == number], minlength=folds.num_folds)
            assert np.ptp(of_class) <= 1


@given(CLASS_COUNTS, st.integers(1, 25), SEEDS)
@settings(max_examples=80, deadline=None)
def test__folds__groups__whole_and_trainable(counts: list[int], num_groups: int, seed: int) -> None:
    labels = _labels(counts, seed)
    # Skewed sizes: one group has about half of the rows.
    skewed = np.random.default_rng([seed, 1]).geometric(0.5, len(labels))
    groups = np.minimum(skewed, num_groups) * 17
    folds = _divide(labels, Task.MULTICLASS, seed, groups)
    if folds is None:
        return
    _assert_trainable(folds, labels)
    for assignment in folds.assignment:
        for group in np.unique(groups):
            assert len(np.unique(assignment[groups == group])) == 1


def test__folds__one_large_group_of_one_class__training_parts_keep_two_classes() -> None:
    labels = np.asarray([0.0] * 100 + [0, 0, 0, 1] + [0, 0, 1])
    groups = np.asarray([0] * 100 + [1] * 4 + [2] * 3)
    folds = _divide(labels, Task.BINARY, groups=groups)
    if folds is not None:
        _assert_trainable(folds, labels)


@pytest.mark.parametrize("task", [Task.BINARY, Task.REGRESSION])
def test__folds__many_small_groups__folds_of_similar_size(task: Task) -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=300) if task is Task.REGRESSION else rng.integers(0, 2, 300).astype(np.float64)
    folds = _divide(labels, task, groups=rng.integers(0, 100, 300))
    assert folds is not None
    assert folds.num_folds == NUM_FOLDS
    assert np.bincount(folds.assignment[0]).min() > 45


@given(st.integers(0, 40), SEEDS)
@settings(max_examples=40, deadline=None)
def test__folds__numbers__every_fold_has_its_share_of_small_and_large(num_labels: int, seed: int) -> None:
    labels = np.random.default_rng(seed).normal(size=num_labels)
    folds = _divide(labels, Task.REGRESSION, seed)
    if num_labels < 2:
        assert folds is None
        return
    assert folds is not None
    assert folds.num_folds == min(NUM_FOLDS, num_labels)
    for assignment in folds.assignment:
        assert np.ptp(np.bincount(assignment, minlength=folds.num_folds)) <= 1
        rounds = assignment[np.argsort(labels, kind="stable")]
        for start in range(0, num_labels - folds.num_folds + 1, folds.num_folds):
            assert len(set(rounds[start : start + folds.num_folds].tolist())) == folds.num_folds


def test__folds__one_seed__same_folds_and_other_repeats_differ() -> None:
    labels = _labels([20, 20], 0)
    first, second = _divide(labels, Task.BINARY, 3), _divide(labels, Task.BINARY, 3)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.assignment, second.assignment)
    assert first.num_repeats > 1
    assert not np.array_equal(first.assignment[0], first.assignment[1])
    assert first.fewer(1).num_repeats == 1


def test__folds__more_rows_than_allowed__sorted_sample_that_keeps_rare_classes() -> None:
    labels = _labels([5_000, 60, 3], 0)
    folds = divide(labels, Task.MULTICLASS, generator=np.random.default_rng(0), max_rows=1_000)
    assert folds is not None
    assert bool((np.diff(folds.rows) > 0).all())
    counts = np.bincount(labels[folds.rows].astype(np.int64))
    assert counts[1] >= 50
    assert counts[2] == 3
    assert counts[0] <= 1_000
