"""Metrics of decisions against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.decisions import decision_metrics
from models.evaluation.judged import JudgedRows
from models.features.schema import Task


def judged(labels: list[int], num_classes: int = 2, weights: list[float] | None = None) -> JudgedRows:
    count = len(labels)
    return JudgedRows(
        Task.BINARY if num_classes == 2 else Task.MULTICLASS,
        "out_of_fold",
        np.arange(count),
        np.array(labels, dtype=np.float64),
        np.full((count, num_classes), 1.0 / num_classes),
        np.ones(count) if weights is None else np.array(weights),
    )


def test__binary__counts_by_hand() -> None:
    found = decision_metrics(
        judged([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 1, 0, 0]), np.array([[0.0, 1.0], [5.0, 0.0]])
    )
    values = {name: entry["value"] for name, entry in found.items() if "value" in entry}
    assert values == pytest.approx(
        {"accuracy": 4 / 6, "precision": 2 / 3, "recall": 2 / 3, "share_positive": 0.5, "cost": 1.0}
    )
    assert found["counts"] == {"decided_positive": 3, "true_positive": 2, "positive": 3, "n": 6}
    assert found["recall"]["low"] < 2 / 3 < found["recall"]["high"]
    assert (found["precision"]["n"], found["accuracy"]["n"]) == (3, 6)


def test__weights__count() -> None:
    found = decision_metrics(judged([1, 1], weights=[3.0, 1.0]), np.array([1, 0]))
    assert found["recall"]["value"] == pytest.approx(0.75)


def test__nothing_decided_or_none_there__has_a_reason_and_no_nan() -> None:
    found = decision_metrics(judged([0, 0]), np.array([0, 0]))
    for name in ("precision", "recall"):
        assert found[name]["value"] is None
        assert found[name]["reason"]
    assert decision_metrics(judged([]), np.array([], dtype=np.int64))["accuracy"]["value"] is None


def test__multiclass__has_accuracy_and_cost() -> None:
    found = decision_metrics(judged([0, 1, 2], 3), np.array([0, 2, 2]), np.arange(9.0).reshape(3, 3))
    assert set(found) == {"accuracy", "cost"}
    assert found["cost"]["value"] == pytest.approx((0 + 5 + 8) / 3)
