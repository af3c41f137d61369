"""Measures against hand-computed values and simulated truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from benchmarks.quality.damage import SHARES, damaged_frames
from benchmarks.quality.measures import (
    OutputsError,
    measure,
)
from models.features.schema import Task


def binary(positive: np.ndarray) -> np.ndarray:
    return np.stack([1.0 - positive, positive], axis=1)


def test__measure__binary__by_hand() -> None:
    found = measure(binary(np.array([0.1, 0.4, 0.35, 0.8])), np.array([0.0, 0.0, 1.0, 1.0]), Task.BINARY, 2)

    assert found["auc"] == pytest.approx(0.75)
    assert found["brier"] == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8]).mean())
    assert found["accuracy"] == pytest.approx(0.75)


def test__measure__numbers__by_hand() -> None:
    found = measure(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]), Task.REGRESSION, 0)

    assert found == pytest.approx({"r2": 0.5, "rmse": np.sqrt(1 / 3), "mae": 1 / 3})


def test__measure__class_that_nobody_has__is_left_out_of_the_mean() -> None:
    outputs = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])

    assert measure(outputs, np.array([0.0, 1.0, 0.0]), Task.MULTICLASS, 3)["macro_auc"] == pytest.approx(1.0)


def test__measure__calibration_error__is_the_metric_of_heads() -> None:
    # Two rows claim 0.8 and one is right, two claim 0.2 and none is; every row has a bin to itself.
    found = measure(
        binary(np.array([0.81, 0.79, 0.21, 0.19])), np.array([1.0, 0.0, 0.0, 0.0]), Task.BINARY, 2
    )

    assert found["ece"] == pytest.approx((0.19 + 0.79 + 0.21 + 0.19) / 4)
    assert found["ece_of_perfect"] > 0.0


@pytest.mark.parametrize(
    "outputs",
    [
        np.zeros(3),
        np.zeros((3, 3)),
        np.full((3, 2), np.nan),
        np.full((3, 2), 0.7),
        np.array([[2.0, -1.0]] * 3),
    ],
)
def test__measure__outputs_that_are_no_predictions__are_refused(outputs: np.ndarray) -> None:
    with pytest.raises(OutputsError):
        measure(outputs, np.array([0.0, 1.0, 1.0]), Task.BINARY, 2)


def test__damage__share_of_cells__is_what_it_says_and_grows() -> None:
    test = pl.DataFrame({"x": [1.0] * 2_000, "c": ["old"] * 2_000})
    train = pl.DataFrame({"x": [2.0] * 50, "c": ["new"] * 50})
    frames = dict(damaged_frames(test, train, np.random.default_rng(0)))

    assert len(frames) == 2 * len(SHARES)
    for share in SHARES:
        missing, replaced = (frames[f"{way}_{round(100 * share)}"] for way in ("missing", "replaced"))
        assert missing["x"].null_count() / 2_000 == pytest.approx(share, abs=0.05)
        assert (replaced["c"] == "new").sum() / 2_000 == pytest.approx(share, abs=0.05)
        assert missing.schema == replaced.schema == test.schema
    assert (frames["missing_10"]["x"].is_null() & frames["missing_20"]["x"].is_not_null()).sum() == 0
