"""Metrics: what they are by definition, how far their intervals can be trusted, and None where they do not exist."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from models.evaluation.estimates import Estimate, FloatArray
from models.evaluation.judged import JudgedRows, Part
from models.evaluation.metrics import (
    MIN_HOLDOUT_LABELS,
    MIN_HOLDOUT_PER_CLASS,
    NO_SKILL,
    PRIMARY,
    auc,
    beats_constant,
    estimate_all,
    holdout_refusal,
    macro_auc,
    metrics_json,
    missing_metrics,
    r2,
)
from models.features.schema import Task

# Few distinct scores, so that ties are the rule.
SCORED = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 3)), min_size=2, max_size=30)
NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)


def _columns(rows: list[tuple[int, bool, int]]) -> tuple[FloatArray, FloatArray, FloatArray]:
    scores, positive, weights = np.array(rows, dtype=np.float64).T
    return scores, positive, weights


def _judged(
    task: Task,
    labels: FloatArray,
    outputs: FloatArray,
    weights: FloatArray | None = None,
    on: Part = "out_of_fold",
) -> JudgedRows:
    return JudgedRows(
        task,
        on,
        np.arange(len(labels)),
        labels,
        outputs,
        np.ones(len(labels)) if weights is None else weights,
    )


def _binary(labels: FloatArray, scores: FloatArray) -> JudgedRows:
    return _judged(Task.BINARY, labels, np.stack([1.0 - scores, scores], axis=1))


def _pairwise(scores: FloatArray, positive: FloatArray, weights: FloatArray) -> float:
    total = won = 0.0
    for i in np.flatnonzero(positive > 0.5):
        for j in np.flatnonzero(positive <= 0.5):
            weight = weights[i] * weights[j]
            total += weight
            won += weight * (1.0 if scores[i] > scores[j] else 0.5 if scores[i] == scores[j] else 0.0)
    return won / total


def _delong(scores: FloatArray, positive: FloatArray) -> float:
    """Standard error from the structural components of the 1988 paper, written down as there."""
    high, low = scores[positive > 0.5], scores[positive <= 0.5]
    wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
    variance = wins.mean(axis=1).var(ddof=1) / len(high) + wins.mean(axis=0).var(ddof=1) / len(low)
    return math.sqrt(variance)


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value


@given(SCORED)
def test__auc__any_scores_with_ties__is_the_share_of_pairs_in_order(
    rows: list[tuple[int, bool, int]],
) -> None:
    scores, positive, weights = _columns(rows)
    found = auc(scores, positive, weights)
    if len(set(positive)) < 2:
        assert found.value is None
        assert found.reason
    else:
        assert found.value == pytest.approx(_pairwise(scores, positive, weights), abs=1e-12)


@given(SCORED)
def test__auc__any_scores__standard_error_is_delongs(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, _ = _columns(rows)
    if min(positive.sum(), (1 - positive).sum()) < 2:
        return
    found = auc(scores, positive, np.ones(len(scores)))
    assert found.standard_error == pytest.approx(_delong(scores, positive), abs=1e-12)


@given(SCORED)
def test__auc__monotone_change_of_scores__changes_nothing(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, weights = _columns(rows)
    found, other = auc(scores, positive, weights), auc(np.exp(scores) - 7.0, positive, weights)
    assert found.value == other.value
    assert found.interval() == other.interval()


@given(SCORED)
def test__auc__classes_swapped__is_the_complement(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, weights = _columns(rows)
    found, other = auc(scores, positive, weights), auc(scores, 1.0 - positive, weights)
    if found.value is not None:
        assert found.value + _value(other) == pytest.approx(1.0)


@pytest.mark.parametrize(("num_rows", "shift"), [(60, 1.0), (200, 0.5), (200, 2.0)])
def test__auc__repeated_draws__interval_covers_the_true_value(num_rows: int, shift: float) -> None:
    rng = np.random.default_rng(0)
    truth = float(norm.cdf(shift / math.sqrt(2.0)))
    positive = (np.arange(num_rows) % 3 == 0).astype(np.float64)
    draws = 600
    covered = 0
    for _ in range(draws):
        interval = auc(rng.normal(size=num_rows) + shift * positive, positive, np.ones(num_rows)).interval()
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    # Three binomial standard deviations at 600 draws are 2.7 points; Student's quantile errs to the safe side.
    assert 0.92 <= covered / draws <= 0.995


@given(st.integers(3, 200))
def test__auc__perfect_order__interval_ends_at_one_and_says_little_with_few(num_positive: int) -> None:
    positive = np.repeat([0.0, 1.0], [300, num_positive])
    interval = auc(positive, positive, np.ones(len(positive))).interval()
    assert interval is not None
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.025 ** (1.0 / num_positive))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 3)), min_size=6, max_size=30))
def test__macro_auc__any_outputs__is_the_mean_over_classes_with_enough_labels(
    rows: list[tuple[int, int, int]],
) -> None:
    table = np.array(rows)
    labels = table[:, 0]
    probabilities = np.concatenate([table[:, 1:], table.sum(axis=1, keepdims=True) % 3], axis=1) / 10.0
    weights = np.ones(len(labels))
    enough = [k for k in range(3) if 2 <= (labels == k).sum() < len(labels)]
    found = macro_auc(probabilities, labels, weights, 2)
    if len(enough) < 2:
        assert found.value is None
        assert found.reason
    else:
        parts = [_pairwise(probabilities[:, k], (labels == k).astype(float), weights) for k in enough]
        assert found.value == pytest.approx(np.mean(parts), abs=1e-12)


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(0.1, 3.0)),
        min_size=2,
        max_size=20,
    )
)
def test__log_loss_and_accuracy__any_outputs__are_weighted_means(
    rows: list[tuple[int, float, float, float]],
) -> None:
    labels = np.array([row[0] for row in rows], dtype=np.float64)
    outputs = np.array([[1.0, row[1], row[2]] for row in rows])
    outputs /= outputs.sum(axis=1, keepdims=True)
    weights = np.array([row[3] for row in rows])
    found = estimate_all(_judged(Task.MULTICLASS, labels, outputs, weights))
    total = sum(weights)
    loss = sum(-w * math.log(p[int(y)]) for y, p, w in zip(labels, outputs, weights, strict=True)) / total
    right = sum(w * (int(np.argmax(p)) == int(y)) for y, p, w in zip(labels, outputs, weights, strict=True))
    assert found["log_loss"].value == pytest.approx(loss)
    assert found["accuracy"].value == pytest.approx(right / total)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.floats(0.1, 3.0)), min_size=1, max_size=20))
def test__regression_metrics__any_values__are_what_their_names_say(
    rows: list[tuple[float, float, float]],
) -> None:
    labels, values, weights = np.array(rows).T
    found = estimate_all(_judged(Task.REGRESSION, labels, values, weights))
    errors = [(y - v, w) for y, v, w in rows]
    total = sum(w for _, w in errors)
    squared = sum(w * e * e for e, w in errors)
    assert found["mae"].value == pytest.approx(sum(w * abs(e) for e, w in errors) / total)
    assert found["rmse"].value == pytest.approx(math.sqrt(squared / total))
    if np.ptp(labels) > 1e-3:
        centre = sum(y * w for y, _, w in rows) / total
        spread = sum(w * (y - centre) ** 2 for y, _, w in rows)
        assert found["r2"].value == pytest.approx(1.0 - squared / spread, rel=1e-6, abs=1e-6)


@given(
    task=st.sampled_from(list(Task)),
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=0, max_size=12),
    on=st.sampled_from(["out_of_fold", "holdout"]),
)
def test__metrics_json__hardly_any_or_degenerate_rows__plain_json_with_a_reason_for_every_gap(
    task: Task, rows: list[tuple[int, int]], on: Part
) -> None:
    labels = np.array([row[0] for row in rows], dtype=np.float64)
    scores = np.array([row[1] for row in rows], dtype=np.float64) / 3.0
    outputs = scores
    if task is Task.BINARY:
        labels = np.minimum(labels, 1.0)
        outputs = np.stack([1.0 - scores, scores], axis=1)
    elif task is Task.MULTICLASS:
        outputs = np.stack([1.0 - scores, scores / 2, scores / 2], axis=1)
    found = metrics_json(_judged(task, labels, outputs, on=on))
    json.dumps(found, allow_nan=False)
    assert bool(found) == bool(rows)
    for entry in found.values():
        assert (entry["value"] is None or entry["low"] is None) == ("reason" in entry)
        assert (entry["low"] is None) == (entry["high"] is None)
        if entry["low"] is not None:
            assert entry["low"] <= entry["value"] + 1e-9
            assert entry["value"] <= entry["high"] + 1e-9
        assert entry["on"] == on
        assert entry["n"] == len(rows)


def test__log_loss__certain_and_wrong__is_large_not_infinite() -> None:
    found = metrics_json(_binary(np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0])))
    assert 20.0 < found["log_loss"]["value"] < 40.0
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("value", [0.0, -3.5, 1e9])
def test__r2__equal_labels__none_with_a_reason(value: float) -> None:
    labels = np.full(10, value)
    found = r2(labels + np.arange(10), labels, np.ones(10))
    assert found.value is None
    assert found.interval() is None
    assert found.reason is not None
    assert "equal" in found.reason


def test__missing_metrics__every_task__primary_metric_without_value() -> None:
    for task in Task:
        entry = missing_metrics(task, "because")[PRIMARY[task]]
        assert (entry["value"], entry["low"], entry["reason"]) == (None, None, "because")


@given(num_negative=st.integers(0, 400), num_positive=st.integers(0, 400))
def test__holdout_refusal__binary__below_200_or_20_per_class(num_negative: int, num_positive: int) -> None:
    labels = np.repeat([0.0, 1.0], [num_negative, num_positive])
    enough = (
        num_negative + num_positive >= MIN_HOLDOUT_LABELS == 200
        and min(num_negative, num_positive) >= MIN_HOLDOUT_PER_CLASS == 20
    )
    assert (holdout_refusal(Task.BINARY, labels) is None) == enough


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test__beats_constant__constant_outputs__never(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, 80).astype(np.float64)
    assert not beats_constant(_binary(labels, np.full(80, 0.3)))
    assert not beats_constant(_judged(Task.REGRESSION, rng.normal(size=80), np.zeros(80)))
    constant = np.tile([0.2, 0.3, 0.5], (80, 1))
    assert not beats_constant(_judged(Task.MULTICLASS, rng.integers(0, 3, 80).astype(np.float64), constant))


def test__beats_constant__clear_signal__yes() -> None:
    labels = (np.arange(80) % 2).astype(np.float64)
    assert beats_constant(_binary(labels, 0.3 + 0.4 * labels + 0.1 * np.sin(np.arange(80))))
    assert NO_SKILL[Task.BINARY] == 0.5


def test__judged_rows__written_and_read__same_metrics() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 50).astype(np.float64)
    judged = _binary(labels, rng.random(50).astype(np.float32).astype(np.float64))
    again = JudgedRows.from_bytes(judged.to_bytes(), Task.BINARY, "out_of_fold")
    assert np.array_equal(again.rows, judged.rows)
    assert metrics_json(again)["auc"] == metrics_json(judged)["auc"]


def test__judged_rows__written_many_times__same_bytes() -> None:
    judged = _binary(np.array([0.0, 1.0]), np.array([0.25, 0.5]))
    assert len({judged.to_bytes() for _ in range(20)}) == 1
