"""A stored forest answers the same whichever library goes through its trees."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from models.errors import BundleError
from models.heads.random_forest import MIN_MANY_ROWS, RandomForest

COLUMNS = 5


def _rows(count: int, seed: int) -> npt.NDArray[np.float32]:
    """Numbers as trees read them: codes, positions, ties, and values at and beyond every threshold's precision."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, COLUMNS)).astype(np.float32)
    rows[:, 0] = rng.integers(-1, 4, count)
    rows[:, 1] = np.float32(0.1) * rng.integers(0, 7, count)
    rows[::7, 2], rows[::11, 3] = 1e30, -1e30
    return rows


def _forest(num_classes: int) -> tuple[RandomForestClassifier | RandomForestRegressor, RandomForest]:
    """With fractional weights, so that leaves hold shares that are no round numbers. No classes: of numbers."""
    rng = np.random.default_rng(num_classes)
    rows, weights = _rows(300, 0), rng.uniform(0.1, 3.0, 300)
    signal = rows[:, 0] + rows[:, 1] + rng.normal(size=300)
    if num_classes == 0:
        numbers = RandomForestRegressor(60, min_samples_leaf=2, random_state=0)
        fitted = numbers.fit(rows, signal, sample_weight=weights)
    else:
        labels = np.digitize(signal, np.quantile(signal, np.arange(1, num_classes) / num_classes))
        classes = RandomForestClassifier(60, min_samples_leaf=2, random_state=0)
        fitted = classes.fit(rows, labels, sample_weight=weights)
    return fitted, RandomForest.of(fitted)


@pytest.mark.parametrize("num_classes", [0, 2, 5])
def test__answers__few_rows_and_many__same_bits(num_classes: int) -> None:
    fitted, forest = _forest(num_classes)
    rows = _rows(2_000, 1)
    many = forest.answers(rows)
    parts = [
        forest.answers(rows[start : start + MIN_MANY_ROWS - 1]) for start in range(0, 600, MIN_MANY_ROWS - 1)
    ]
    few = np.concatenate(parts)
    assert np.array_equal(few, many[: len(few)])
    said = fitted.predict_proba(rows) if num_classes else fitted.predict(rows)[:, None]
    np.testing.assert_allclose(many, said, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_classes", [0, 2, 5])
def test__answers__stored_and_read__same_bits(num_classes: int) -> None:
    _, forest = _forest(num_classes)
    read, rows = RandomForest.from_bytes(forest.content), _rows(500, 2)
    assert read.num_columns == COLUMNS
    assert np.array_equal(read.answers(rows), forest.answers(rows))
    assert np.array_equal(read.answers(rows[:3]), forest.answers(rows)[:3])


def test__from_bytes__no_forest__is_refused() -> None:
    with pytest.raises(BundleError, match="fit it again"):
        RandomForest.from_bytes(b"")
