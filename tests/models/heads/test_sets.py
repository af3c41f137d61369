"""Sets of classes: never empty, nested, as often right as they say for every class, and honest where labels are few."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.heads.prediction import FloatArray, IndexArray
from models.heads.sets import MIN_GROUP_LABELS, ClassSets, ScoreTable

COVERAGES = (0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.9999)


def _drawn(rng: np.random.Generator, num_rows: int, shares: list[float]) -> tuple[FloatArray, IndexArray]:
    """Probabilities [n, K] of a fair model, and labels [n] of classes with these shares."""
    labels = rng.choice(len(shares), num_rows, p=shares).astype(np.int64)
    logits = np.log(shares) + rng.normal(size=(num_rows, len(shares)))
    logits[np.arange(num_rows), labels] += 1.0
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True), labels


def _sets(probabilities: FloatArray, labels: IndexArray) -> ClassSets:
    return ClassSets.fit(probabilities, labels, np.ones(len(labels)))


@given(st.integers(2, 40), st.integers(0, 120), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test__sets__larger_coverage__contain_the_smaller_and_the_most_probable(
    num_classes: int, num_labels: int, seed: int, has_weights: bool
) -> None:
    rng = np.random.default_rng(seed)
    probabilities, labels = _drawn(rng, num_labels + 30, [1.0 / num_classes] * num_classes)
    weights = rng.uniform(0.01, 3.0, num_labels) if has_weights else np.ones(num_labels)
    found = ClassSets.fit(probabilities[:num_labels], labels[:num_labels], weights)
    new = probabilities[num_labels:]
    sets = [found.contains(new, coverage) for coverage in COVERAGES]
    for smaller, larger in pairwise(sets):
        assert not bool((smaller & ~larger).any())
    assert bool(sets[0][np.arange(len(new)), new.argmax(axis=1)].all())
    assert sorted(set(found.group_of)) == list(range(len(found.tables)))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("num_labels", [12, 30, 60, 300])
def test__sets__new_rows__hold_the_class_as_often_as_promised(num_labels: int, coverage: float) -> None:
    rng = np.random.default_rng([num_labels, int(100 * coverage)])
    hits: list[float] = []
    for _ in range(300):
        probabilities, labels = _drawn(rng, num_labels + 50, [0.6, 0.3, 0.1])
        found = _sets(probabilities[:num_labels], labels[:num_labels])
        in_set = found.contains(probabilities[num_labels:], coverage)
        hits.append(float(in_set[np.arange(50), labels[num_labels:]].mean()))
    assert np.mean(hits) >= coverage - 3 * np.std(hits) / np.sqrt(len(hits))


def test__sets__class_with_labels_of_its_own__is_held_as_often_as_the_common_one() -> None:
    rng = np.random.default_rng(5)
    hits: dict[int, list[bool]] = {0: [], 1: []}
    for _ in range(60):
        probabilities, labels = _drawn(rng, 1_400, [0.93, 0.07])
        found = _sets(probabilities[:400], labels[:400])
        if int((labels[:400] == 1).sum()) < MIN_GROUP_LABELS:
            continue
        in_set = found.contains(probabilities[400:], 0.9)
        for number, kept in hits.items():
            of_class = labels[400:] == number
            kept += in_set[of_class, number].tolist()
    assert np.mean(hits[1]) >= 0.88
    assert np.mean(hits[0]) >= 0.88


def test__sets__too_few_labels_for_the_promise__hold_every_class() -> None:
    probabilities, labels = _drawn(np.random.default_rng(1), 8, [0.5, 0.5])
    found = _sets(probabilities, labels)
    assert found.max_coverage == pytest.approx(8 / 9)
    assert bool(found.contains(probabilities, 0.9).all())
    assert not bool(found.contains(np.asarray([[0.999, 0.001]]), 0.8).all())


@pytest.mark.parametrize(
    "counts", [[30, 30], [5, 40], [1, 1, 1], [0, 25, 3, 19, 200], [10, 10, 10], [15] * 12]
)
def test__sets__groups__have_enough_labels_or_are_all_there_is(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    probabilities = np.full((len(labels), len(counts)), 1.0 / len(counts))
    found = _sets(probabilities, labels)
    sizes = np.bincount(np.asarray(found.group_of), weights=np.asarray(counts, dtype=np.float64))
    assert len(sizes) == 1 or sizes.min() >= MIN_GROUP_LABELS
    for number, count in enumerate(counts):
        if count >= 2 * MIN_GROUP_LABELS:
            assert found.tables[found.group_of[number]].num_labels <= count + MIN_GROUP_LABELS


def test__sets__many_labels__few_points_and_the_same_sets_but_for_rounding_up() -> None:
    rng = np.random.default_rng(2)
    scores = rng.uniform(size=20_000)
    table = ScoreTable.fit(scores, np.ones(len(scores)))
    assert len(table.levels) <= 1_003
    for coverage in COVERAGES[:-1]:
        bound = table.threshold(coverage)
        assert bound is not None
        assert coverage <= float((scores >= bound).mean()) + 1e-4 <= coverage + 0.005


def test__sets__one_row_or_none__as_in_the_batch() -> None:
    probabilities, labels = _drawn(np.random.default_rng(3), 200, [0.5, 0.3, 0.2])
    found = _sets(probabilities, labels)
    whole = found.contains(probabilities, 0.8)
    assert found.contains(probabilities[:0], 0.8).shape == (0, 3)
    for place in (0, 7, 199):
        assert np.array_equal(found.contains(probabilities[place : place + 1], 0.8), whole[place : place + 1])


def test__sets__weights__count_like_labels() -> None:
    scores = np.asarray([0.9, 0.8, 0.1])
    heavy = ScoreTable.fit(scores, np.asarray([1.0, 1.0, 100.0]))
    assert heavy.threshold(0.3) == 0.1
    assert heavy.num_labels < 1.1
