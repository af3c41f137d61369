"""Figures of promises: coverage, sizes and widths by hand; what is not there is refused."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.calibration import (
    MIN_CLASS_ROWS,
    error_figures,
    interval_figures,
    set_figures,
)
from models.heads.prediction import HeadPrediction


def test__set_figures__by_hand__coverage_of_all_and_of_the_worst_class() -> None:
    labels = np.repeat([0, 1, 2], [2 * MIN_CLASS_ROWS, MIN_CLASS_ROWS, 1])
    in_set = np.zeros((len(labels), 3), dtype=bool)
    in_set[:, 0] = True
    in_set[labels == 1, 1] = np.arange(MIN_CLASS_ROWS) % 2 == 0
    found = set_figures(HeadPrediction(in_set=in_set), labels, 0.9)
    num_rows, half = len(labels), MIN_CLASS_ROWS // 2
    assert found.found == pytest.approx((2 * MIN_CLASS_ROWS + half) / num_rows)
    assert found.worst_class == 0.5  # the single row of class 2 is not judged by itself
    assert found.mean_size == pytest.approx(1.0 + half / num_rows)
    assert found.single == pytest.approx(1.0 - half / num_rows)
    assert found.to_json()["asked"] == 0.9


def test__interval_figures__by_hand__coverage_of_all_and_of_the_worst_fifth() -> None:
    values = np.arange(10.0)
    labels = values.copy()
    labels[:2] = 100.0
    interval = np.stack([values - 1.0, values + 3.0], axis=1)
    found = interval_figures(HeadPrediction(value=values, interval=interval), labels, 0.8)
    assert (found.found, found.worst_fifth, found.mean_width) == (0.8, 0.0, 4.0)
    assert found.relative_width == pytest.approx(4.0 / labels.std())


def test__error_figures__as_the_metric_of_heads_says() -> None:
    probabilities = np.array([[0.8, 0.2], [0.1, 0.9]])
    found = error_figures(probabilities, np.array([0, 1]))
    assert found.ece == pytest.approx(0.15)
    assert 0.0 < found.ece_of_perfect <= found.ece_of_perfect_high


def test__figures__no_sets_or_intervals_or_rows__are_refused() -> None:
    with pytest.raises(ValueError, match="no sets"):
        set_figures(HeadPrediction(), np.zeros(3, dtype=np.int64), 0.9)
    with pytest.raises(ValueError, match="no intervals"):
        interval_figures(HeadPrediction(value=np.zeros(3)), np.zeros(3), 0.9)
    with pytest.raises(ValueError, match="no sets"):
        set_figures(HeadPrediction(in_set=np.zeros((0, 2), dtype=bool)), np.zeros(0, dtype=np.int64), 0.9)
