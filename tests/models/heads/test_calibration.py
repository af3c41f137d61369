"""Calibration: what it learns from many labels, what it leaves alone with few, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.heads.calibration import (
    LOG_SCALE_PRIOR,
    MAX_SHIFTS,
    Calibration,
    fit_calibration,
    log_loss_of,
    probabilities_of,
)
from models.heads.prediction import FloatArray, IndexArray

NUM_OUTPUTS = [1, 3, MAX_SHIFTS, MAX_SHIFTS + 3]


def _drawn(num_rows: int, num_outputs: int, seed: int = 0) -> tuple[FloatArray, IndexArray]:
    """Logits that are honest, and labels drawn from them."""
    rng = np.random.default_rng([seed, num_outputs])
    logits = rng.normal(size=(num_rows, num_outputs)) * 1.5
    probabilities = probabilities_of(logits)
    labels = (rng.random((num_rows, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return logits, labels.astype(np.int64)


def _fit(logits: FloatArray, labels: IndexArray, weights: FloatArray | None = None) -> Calibration:
    given_weights = np.ones(len(labels)) if weights is None else weights
    return fit_calibration(logits, labels, given_weights, np.average(logits, axis=0, weights=given_weights))


@pytest.mark.parametrize("num_outputs", NUM_OUTPUTS)
@pytest.mark.parametrize("stretch", [0.5, 1.0, 3.0])
def test__calibration__many_labels__undoes_the_stretch(num_outputs: int, stretch: float) -> None:
    logits, labels = _drawn(3_000, num_outputs)
    found = _fit(stretch * logits, labels)
    assert found.scale * stretch == pytest.approx(1.0, abs=0.15)
    shift = np.asarray(found.shift)
    np.testing.assert_allclose(shift - shift.mean() * (num_outputs > 1), 0.0, atol=0.3)


@pytest.mark.parametrize("num_outputs", NUM_OUTPUTS)
def test__calibration__no_evidence__changes_nothing(num_outputs: int) -> None:
    logits, labels = _drawn(1, num_outputs)
    found = _fit(logits, labels, np.full(1, 1e-9))
    np.testing.assert_allclose(found.apply(logits), logits, atol=1e-6)


@pytest.mark.parametrize("num_outputs", NUM_OUTPUTS)
@pytest.mark.parametrize("num_rows", [2, 5, 40])
def test__calibration__its_own_rows__never_a_larger_loss(num_outputs: int, num_rows: int) -> None:
    for seed in range(5):
        logits, labels = _drawn(num_rows, num_outputs, seed)
        found = _fit(4.0 * logits, labels)
        after = log_loss_of(found.apply(4.0 * logits), labels).sum()
        assert after <= log_loss_of(4.0 * logits, labels).sum() + 1e-6
        # Two deviations of the prior are what five labels can reach at most.
        assert num_rows > 5 or abs(np.log(found.scale)) < 4 * LOG_SCALE_PRIOR


@pytest.mark.parametrize("num_outputs", NUM_OUTPUTS)
def test__calibration__weight_two__same_as_the_row_twice(num_outputs: int) -> None:
    logits, labels = _drawn(60, num_outputs)
    weights = np.asarray(1.0 + np.arange(60) % 2, dtype=np.float64)
    twice = np.repeat(np.arange(60), weights.astype(np.int64))
    weighted, repeated = _fit(2.0 * logits, labels, weights), _fit(2.0 * logits[twice], labels[twice])
    assert weighted.scale == pytest.approx(repeated.scale, abs=1e-3)
    np.testing.assert_allclose(weighted.shift, repeated.shift, atol=1e-3)


def test__calibration__rare_class__its_mean_probability_stays() -> None:
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(4_000, 1)) - 4.0
    labels = (rng.random(4_000) < probabilities_of(logits)[:, 1]).astype(np.int64)
    stretched = (logits + 4.0) * 3.0 - 4.0
    mean = probabilities_of(_fit(stretched, labels).apply(stretched))[:, 1].mean()
    assert mean == pytest.approx(labels.mean(), rel=0.15)


@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 4), st.integers(1, 5)),
        elements=st.floats(-1e38, 1e38, allow_nan=False),
    )
)
@settings(max_examples=60, deadline=None)
def test__probabilities__any_finite_logits__sum_to_one(logits: FloatArray) -> None:
    found = probabilities_of(logits)
    assert found.shape == (len(logits), max(2, logits.shape[1]))
    assert bool(((found >= 0.0) & (found <= 1.0)).all())
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    alone = np.concatenate([probabilities_of(row[None]) for row in logits])
    assert np.array_equal(found, alone)


@pytest.mark.parametrize("num_outputs", NUM_OUTPUTS)
def test__log_loss__any_outputs__is_minus_the_log_of_the_probability(num_outputs: int) -> None:
    logits, labels = _drawn(30, num_outputs)
    chosen = probabilities_of(logits)[np.arange(30), labels]
    np.testing.assert_allclose(log_loss_of(logits, labels), -np.log(chosen), rtol=1e-10)
