"""Paired comparison: the sign says who is better, the interval covers, and pairing is worth something."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from models.errors import BundleError
from models.evaluation.comparison import MIN_COMMON_ROWS, PairedComparison, compare_paired, difference
from models.evaluation.estimates import FloatArray
from models.evaluation.judged import JudgedRows
from models.evaluation.metrics import estimate_all
from models.evaluation.verdict import verdict_sentence
from models.features.schema import Task

SEEDS = st.integers(0, 2**32 - 1)


def _binary(labels: FloatArray, logits: FloatArray, rows: np.ndarray | None = None) -> JudgedRows:
    positive = 1.0 / (1.0 + np.exp(-logits))
    outputs = np.stack([1.0 - positive, positive], axis=1)
    rows = np.arange(len(labels)) if rows is None else rows
    return JudgedRows(Task.BINARY, "out_of_fold", rows, labels, outputs, np.ones(len(labels)))


def _numbers(labels: FloatArray, values: FloatArray) -> JudgedRows:
    return JudgedRows(
        Task.REGRESSION, "out_of_fold", np.arange(len(labels)), labels, values, np.ones(len(labels))
    )


def _labels(num_rows: int) -> FloatArray:
    return (np.arange(num_rows) % 2).astype(np.float64)


@settings(max_examples=40)
@given(SEEDS)
def test__difference__two_models__is_that_of_their_metrics_and_swaps_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = _labels(60)
    new, old = (_binary(labels, rng.normal(size=60) + labels) for _ in range(2))
    there, back = difference(new, old), difference(old, new)
    first, second = (estimate_all(judged)["auc"].value for judged in (new, old))
    assert first is not None
    assert second is not None
    assert there.difference == pytest.approx(first - second)
    assert there.difference is not None
    assert there.low is not None
    assert there.high is not None
    assert there.low <= there.difference <= there.high
    assert (back.difference, back.low, back.high) == pytest.approx(
        (-there.difference, -there.high, -there.low)
    )


def test__difference__model_with_itself__exactly_nothing() -> None:
    rng = np.random.default_rng(0)
    judged = _binary(_labels(60), rng.normal(size=60))
    found = difference(judged, judged)
    assert (found.difference, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.not_worse


def test__difference__clearly_better_model__interval_on_its_side_and_verdict_says_so() -> None:
    rng = np.random.default_rng(0)
    labels = _labels(300)
    noise = rng.normal(size=300)
    good, bad = _binary(labels, noise + 3.0 * labels), _binary(labels, noise + 0.3 * labels)
    better, worse = difference(good, bad), difference(bad, good)
    assert better.low is not None
    assert better.low > 0.0
    assert better.not_worse
    assert not worse.not_worse
    assert "adds" in verdict_sentence({"logistic": better}, beats_constant=True)
    assert "does not help" in verdict_sentence({"logistic": worse}, beats_constant=True)
    # The closest rival decides.
    both = {"logistic": better, "lightgbm": worse}
    assert "LightGBM" in verdict_sentence(both, beats_constant=True)
    assert "not shown to be better" in verdict_sentence(both, beats_constant=False)


@pytest.mark.parametrize("is_mixed", [True, False])
@pytest.mark.parametrize("gap", [0.04, 0.0, -0.04])
def test__verdict__two_baselines__names_both_and_credits_the_encoder_only_where_it_is_alone(
    gap: float, is_mixed: bool
) -> None:
    comparisons = {
        "logistic": PairedComparison("auc", "out_of_fold", 500, 0.05, 0.03, 0.07),
        "lightgbm": PairedComparison("auc", "out_of_fold", 500, gap, gap - 0.01, gap + 0.01),
    }
    words = verdict_sentence(comparisons, beats_constant=True, is_mixed=is_mixed)
    assert "LightGBM" in words
    assert "Against logistic regression on raw features: +5.0 ± 2.0." in words
    assert ("encoder" in words) is not is_mixed
    assert ("this head" in words.lower()) is is_mixed
    assert words.startswith("Use more labels; ") is (gap < 0)
    assert words[0].isupper()


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test__difference__repeated_draws__interval_covers_the_true_difference(shared: float) -> None:
    rng = np.random.default_rng(1)
    labels = _labels(120)
    strengths = (1.2, 0.7)
    truth = float(np.diff([norm.cdf(strength / math.sqrt(2.0)) for strength in strengths[::-1]])[0])
    draws, covered = 400, 0
    for _ in range(draws):
        common = rng.normal(size=120)
        new, old = (
            _binary(
                labels,
                math.sqrt(shared) * common + math.sqrt(1 - shared) * rng.normal(size=120) + strength * labels,
            )
            for strength in strengths
        )
        found = difference(new, old)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    # Three binomial standard deviations at 400 draws are 3.3 points.
    assert covered / draws >= 0.915


def test__difference__regression__repeated_draws__interval_covers() -> None:
    rng = np.random.default_rng(2)
    draws, covered = 300, 0
    for _ in range(draws):
        signal = rng.normal(size=150)
        labels = signal + rng.normal(size=150)
        new = _numbers(labels, signal)
        old = _numbers(labels, signal + 0.5 * rng.normal(size=150))
        found = difference(new, old)  # in truth 1 - 1/2 against 1 - 1.25/2
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.125 <= found.high
    assert covered / draws >= 0.90


@settings(max_examples=30)
@given(SEEDS, st.integers(MIN_COMMON_ROWS, 60))
def test__compare_paired__any_order_of_rows__only_common_rows_count(seed: int, num_common: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(_labels(100))
    logits = rng.normal(size=(2, 100))
    common = np.arange(num_common)
    mine = rng.permutation(np.concatenate([common, np.arange(60, 80)]))
    theirs = rng.permutation(np.concatenate([common, np.arange(80, 100)]))
    new = _binary(labels[mine], logits[0, mine], mine)
    old = _binary(labels[theirs], logits[1, theirs], theirs)
    found = compare_paired(new, old)
    plain = difference(_binary(labels[common], logits[0, common]), _binary(labels[common], logits[1, common]))
    assert found.num_rows == num_common
    assert found == plain


def test__compare_paired__corrected_labels__the_new_ones_count() -> None:
    rng = np.random.default_rng(0)
    labels, logits = _labels(50), rng.normal(size=50)
    found = compare_paired(_binary(labels, logits), _binary(1.0 - labels, logits))
    assert found.difference == 0.0


def test__compare_paired__too_few_common_rows__none_with_a_reason_and_not_for_replacing() -> None:
    labels = _labels(40)
    new = _binary(labels, labels)
    old = _binary(labels, labels, np.arange(40) + 40 - MIN_COMMON_ROWS + 1)
    found = compare_paired(new, old)
    assert (found.difference, found.low, found.high) == (None, None, None)
    assert found.num_rows == MIN_COMMON_ROWS - 1
    assert str(MIN_COMMON_ROWS) in (found.reason or "")
    assert not found.not_worse
    assert "cannot be compared" in found.sentence


def test__compare_paired__other_task_or_one_class__none_with_a_reason() -> None:
    labels = _labels(40)
    other_task = compare_paired(_binary(labels, labels), _numbers(labels, labels))
    one_class = compare_paired(_binary(np.zeros(40), labels), _binary(np.zeros(40), labels))
    for found in (other_task, one_class):
        assert found.difference is None
        assert found.reason
        assert not found.not_worse


def _identified(judged: JudgedRows, identities: list[int]) -> JudgedRows:
    return replace(judged, identities=np.array(identities, dtype=np.uint64))


def test__compare_paired__rows_with_identities__are_paired_by_them_whatever_their_numbers() -> None:
    rng = np.random.default_rng(0)
    labels = _labels(60)
    old = _identified(_binary(labels, rng.normal(size=60) + labels), list(range(60)))
    order = rng.permutation(60)
    moved = _identified(replace(old.at(order), rows=np.arange(1_000, 1_060)), order.tolist())
    found = compare_paired(moved, old)
    assert (found.num_rows, found.difference, found.low, found.high) == (60, 0.0, 0.0, 0.0)
    # The same row numbers of other rows have nothing in common.
    strangers = _identified(old, list(range(100, 160)))
    assert compare_paired(strangers, old).num_rows == 0
    # A file from before identities is paired by number.
    assert compare_paired(old, replace(old, identities=None)).num_rows == 60


def test__judged_rows__written_and_read__keep_identities_and_read_files_without() -> None:
    judged = _binary(_labels(30), np.zeros(30))
    identities = np.array([2**64 - 1 - row for row in range(30)], dtype=np.uint64)
    back = JudgedRows.from_bytes(
        replace(judged, identities=identities).to_bytes(), Task.BINARY, "holdout"
    ).identities
    assert back is not None
    assert np.array_equal(back, identities)
    assert JudgedRows.from_bytes(judged.to_bytes(), Task.BINARY, "holdout").identities is None
    damaged = replace(judged, identities=identities[:3]).to_bytes()
    with pytest.raises(BundleError):
        JudgedRows.from_bytes(damaged, Task.BINARY, "holdout")


def test__judged_rows__in_more_classes__keep_their_probabilities_under_the_right_names() -> None:
    outputs = np.array([[0.2, 0.8], [0.9, 0.1]])
    judged = JudgedRows(Task.MULTICLASS, "holdout", np.arange(2), np.array([1.0, 0.0]), outputs, np.ones(2))
    wider = judged.in_classes(["a", "c"], ["a", "b", "c"])
    assert wider.outputs.tolist() == [[0.2, 0.0, 0.8], [0.9, 0.0, 0.1]]
    assert wider.labels.tolist() == [2.0, 0.0]
    with pytest.raises(ValueError, match="1 of 2 classes"):
        judged.in_classes(["a", "c"], ["a", "b"])
    with pytest.raises(ValueError, match="classes"):
        judged.in_classes([1, 0], [True, False])
