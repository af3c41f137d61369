"""Figures of promises: coverage, sizes and widths by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.quality.promises import MIN_CLASS_ROWS, interval_figures, set_figures


def test__set_figures__by_hand__coverage_of_all_and_of_the_worst_class() -> None:
    labels = np.repeat([0, 1, 2], [2 * MIN_CLASS_ROWS, MIN_CLASS_ROWS, 1])
    in_set = np.zeros((len(labels), 3), dtype=bool)
    in_set[:, 0] = True
    in_set[labels == 1, 1] = np.arange(MIN_CLASS_ROWS) % 2 == 0
    found = set_figures(in_set, labels, 0.9)
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
    found = interval_figures(interval, values, labels, 0.8)
    assert (found.found, found.worst_fifth, found.mean_width) == (0.8, 0.0, 4.0)
    assert found.relative_width == pytest.approx(4.0 / labels.std())
