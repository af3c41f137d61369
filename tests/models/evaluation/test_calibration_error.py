"""The calibration error: what it is by hand, and that a perfect model shows what it is said to show."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.calibration_error import calibration_error


def _two(claimed: list[float]) -> np.ndarray:
    positive = np.asarray(claimed)
    return np.stack([1.0 - positive, positive], axis=1)


def test__calibration_error__by_hand__mean_gap_of_the_bins() -> None:
    found = calibration_error(
        _two([0.2, 0.2, 0.9, 0.9]), np.array([0, 0, 1, 0]), np.array([1.0, 1.0, 1.0, 1.0])
    )
    assert found.value == pytest.approx(0.5 * 0.2 + 0.5 * 0.4)
    weighted = calibration_error(_two([0.2, 0.9]), np.array([0, 1]), np.array([3.0, 1.0]))
    assert weighted.value == pytest.approx(0.75 * 0.2 + 0.25 * 0.1)


def test__calibration_error__many_classes__of_the_most_probable() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    assert calibration_error(probabilities, np.array([0, 0]), np.ones(2)).value == pytest.approx(
        0.5 * 0.5 + 0.5 * 0.8
    )


@pytest.mark.parametrize(("num_rows", "expected"), [(211, 0.066), (597, 0.039)])
def test__calibration_error__perfect_model__as_much_as_is_said(num_rows: int, expected: float) -> None:
    rng = np.random.default_rng(num_rows)
    found, said, high = [], [], 0
    for _ in range(60):
        claimed = rng.uniform(size=num_rows)
        labels = (rng.uniform(size=num_rows) < claimed).astype(np.int64)
        error = calibration_error(_two(claimed.tolist()), labels, np.ones(num_rows))
        found.append(error.value)
        said.append(error.of_perfect)
        high += error.value > error.of_perfect_high
    assert np.mean(found) == pytest.approx(np.mean(said), rel=0.1)
    assert np.mean(said) == pytest.approx(expected, rel=0.25)
    assert high <= 9


def test__calibration_error__certain_and_right__nothing() -> None:
    error = calibration_error(_two([0.0, 1.0]), np.array([0, 1]), np.ones(2))
    assert (error.value, error.of_perfect, error.of_perfect_high) == (0.0, 0.0, 0.0)


def test__calibration_error__twice__the_same() -> None:
    claimed = np.random.default_rng(0).uniform(size=50).tolist()
    labels = np.random.default_rng(1).integers(0, 2, 50)
    assert calibration_error(_two(claimed), labels, np.ones(50)) == calibration_error(
        _two(claimed), labels, np.ones(50)
    )
