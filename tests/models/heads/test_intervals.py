"""Prediction intervals: nested, never missing more than they say, and honest where labels are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.heads.intervals import LABELS_PER_BIN, MAX_BINS, MAX_POINTS, ErrorScale, ResidualTable
from models.heads.prediction import FloatArray

RESIDUALS = st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=60)
COVERAGES = (0.01, 0.5, 0.8, 0.9, 0.95, 0.99, 0.9999)


def _table(residuals: FloatArray) -> ResidualTable:
    return ResidualTable.fit(residuals, np.ones(len(residuals)))


@given(RESIDUALS, st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test__intervals__larger_coverage__contains_the_smaller(residuals: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).uniform(0.1, 3.0, len(residuals))
    table = ResidualTable.fit(np.asarray(residuals), weights)
    ends = np.asarray([table.offsets(coverage) for coverage in COVERAGES])
    assert bool(np.isfinite(ends).all())
    assert bool((np.diff(ends[:, 0]) <= 0).all())
    assert bool((np.diff(ends[:, 1]) >= 0).all())
    assert bool(((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).all())


@pytest.mark.parametrize("num_labels", [1, 2, 7, 19, 200, 5_000])
@pytest.mark.parametrize("coverage", COVERAGES)
def test__intervals__their_own_residuals__hold_at_least_the_coverage(
    num_labels: int, coverage: float
) -> None:
    residuals = np.random.default_rng(num_labels).exponential(size=num_labels) - 1.0
    low, high = _table(residuals).offsets(coverage)
    assert float(((residuals >= low) & (residuals <= high)).mean()) >= coverage - 1e-9


NUM_DRAWS = 1_500
# Three standard errors of a share counted in that many draws.
SLACK = 3 * 0.5 / np.sqrt(NUM_DRAWS)


@pytest.mark.parametrize("num_labels", [2, 5, 10, 19, 40])
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test__intervals__few_normal_residuals__cover_a_new_one(num_labels: int, coverage: float) -> None:
    rng = np.random.default_rng([num_labels, int(100 * coverage)])
    hits = 0
    for _ in range(NUM_DRAWS):
        drawn = rng.normal(size=num_labels + 1)
        low, high = _table(drawn[1:]).offsets(coverage)
        hits += bool(low <= drawn[0] <= high)
    assert hits / NUM_DRAWS >= coverage - SLACK


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test__intervals__skewed_residuals_enough_labels__cover_a_new_one(coverage: float) -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(NUM_DRAWS):
        drawn = rng.lognormal(sigma=1.5, size=20) - 1.0
        table = _table(drawn[1:])
        assert table.max_coverage >= coverage - 1e-9
        low, high = table.offsets(coverage)
        hits += bool(low <= drawn[0] <= high)
    assert hits / NUM_DRAWS >= coverage - SLACK


def test__intervals__beyond_the_largest_promise__not_narrower_than_the_widest_residual() -> None:
    residuals = np.asarray([-3.0, -1.0, 0.5, 9.0])
    table = _table(residuals)
    for coverage in (c for c in COVERAGES if c > table.max_coverage):
        low, high = table.offsets(coverage)
        assert low <= -3.0
        assert high >= 9.0


def test__intervals__skewed_target__skewed_interval() -> None:
    low, high = _table(np.random.default_rng(1).exponential(size=500) - 1.0).offsets(0.9)
    assert high > -1.5 * low


@pytest.mark.parametrize("coverage", COVERAGES)
def test__intervals__more_residuals_than_points__no_narrower_and_hardly_wider(coverage: float) -> None:
    residuals = np.random.default_rng(3).normal(size=20_000)
    table = _table(residuals)
    assert len(table.residuals) <= MAX_POINTS
    low, high = table.offsets(coverage)
    tail = (1.0 - coverage) / 2.0
    assert low <= np.quantile(residuals, tail) + 1e-3
    assert high >= np.quantile(residuals, 1.0 - tail) - 1e-3
    inside = float(((residuals >= low) & (residuals <= high)).mean())
    assert inside <= coverage + 0.01


def test__intervals__weights_scaled__same_interval() -> None:
    rng = np.random.default_rng(4)
    residuals, weights = rng.normal(size=50), rng.uniform(0.1, 2.0, 50)
    one, two = ResidualTable.fit(residuals, weights), ResidualTable.fit(residuals, 7.0 * weights)
    np.testing.assert_allclose(one.offsets(0.9), two.offsets(0.9))
    assert one.num_labels == pytest.approx(two.num_labels)
    assert one.num_labels < 50


def _growing(rng: np.random.Generator, num_rows: int) -> tuple[FloatArray, FloatArray]:
    """Values [n], and residuals [n] that grow with them."""
    values = rng.lognormal(size=num_rows)
    return values, values * rng.normal(size=num_rows)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test__error_scale__errors_that_grow__cover_alike_everywhere_and_are_narrower(coverage: float) -> None:
    rng = np.random.default_rng(11)
    hits, plain_hits = [], []
    for _ in range(100):
        values, residuals = _growing(rng, 300)
        fitted = ErrorScale.fit(values, residuals, np.ones(300))
        assert fitted is not None
        scale, without = fitted
        low, high = _table(residuals / without).offsets(coverage)
        plain_low, plain_high = _table(residuals).offsets(coverage)
        values, residuals = _growing(rng, 100)
        size = scale.at(values)
        hits.append((low * size <= residuals) & (residuals <= high * size))
        plain_hits.append(((plain_low <= residuals) & (residuals <= plain_high))[values > 2.0])
    assert abs(float(np.mean(hits)) - coverage) < 0.02
    assert float(np.mean(np.concatenate(plain_hits))) < coverage - 0.1


@given(st.integers(2, 900), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test__error_scale__any_residuals__positive_finite_and_row_by_row(
    num_rows: int, seed: int, is_discrete: bool
) -> None:
    rng = np.random.default_rng(seed)
    values, residuals = _growing(rng, num_rows)
    if is_discrete:
        values, residuals = np.round(values), np.round(residuals)
    fitted = ErrorScale.fit(values, residuals, rng.uniform(0.01, 3.0, num_rows))
    if fitted is None:
        return
    scale, without = fitted
    assert 2 <= len(scale.sizes) <= min(MAX_BINS, num_rows // LABELS_PER_BIN)
    assert bool((without > 0.0).all())
    assert bool(np.isfinite(without).all())
    asked = np.concatenate([values, [-1e300, 0.0, 1e300]])
    sizes = scale.at(asked)
    assert bool((sizes > 0.0).all())
    assert [float(scale.at(asked[i : i + 1])[0]) for i in range(0, len(asked), 50)] == sizes[::50].tolist()


@pytest.mark.parametrize(
    ("values", "residuals"),
    [
        (np.arange(2.0 * LABELS_PER_BIN - 1), np.ones(2 * LABELS_PER_BIN - 1)),
        (np.ones(500), np.arange(500.0)),
        (np.arange(500.0), np.zeros(500)),
    ],
)
def test__error_scale__too_few_labels_or_nothing_varies__there_is_none(
    values: FloatArray, residuals: FloatArray
) -> None:
    assert ErrorScale.fit(values, residuals, np.ones(len(values))) is None
