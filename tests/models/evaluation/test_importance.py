"""Permutation importance and curves on made rows, where the truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.curves import (
    calibration_bins,
    confusion_counts,
    interval_coverage,
    set_coverage,
    spread_sample,
)
from models.evaluation.importance import (
    MAX_ROWS,
    MIN_COLUMNS,
    ImportancePlan,
    draw_rows,
    permutation_importance,
)
from models.evaluation.judged import FloatArray, IndexArray, JudgedRows
from models.features.schema import Task


def judged(task: Task, labels: FloatArray) -> JudgedRows:
    count = len(labels)
    return JudgedRows(task, "holdout", np.arange(count), labels, np.empty((count, 0)), np.ones(count))


@pytest.mark.parametrize("task", list(Task))
def test__permutation_importance__one_column_decides__it_leads_and_noise_is_told(task: Task) -> None:
    generator = np.random.default_rng(1)
    columns = {"useful": generator.normal(size=200), "idle": generator.normal(size=200)}
    labels = columns["useful"]
    if task is not Task.REGRESSION:
        labels = np.digitize(labels, [0.0] if task is Task.BINARY else [-0.5, 0.5]).astype(np.float64)

    def outputs(column: str | None, rows: IndexArray) -> FloatArray:
        cells = columns["useful"][rows] if column == "useful" else columns["useful"]
        if task is Task.REGRESSION:
            return cells
        scores = np.stack([-cells, cells] if task is Task.BINARY else [-cells, -np.abs(cells), cells], axis=1)
        exponentials = np.exp(scores)
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    found = [
        permutation_importance(
            judged(task, labels),
            ["idle", "useful"],
            outputs,
            num_repeats=3,
            on="holdout",
            generator=np.random.default_rng(2),
        )
        for _ in range(2)
    ]
    assert found[0] == found[1]
    first, last = found[0]["columns"]
    assert first["column"] == "useful"
    assert first["drop"] > 0.3
    assert first["noise"] > 0.0
    assert last["drop"] == last["noise"] == 0.0


def test__permutation_importance__one_class__gives_the_reason() -> None:
    rows = judged(Task.BINARY, np.zeros(30))
    found = permutation_importance(
        rows,
        ["a"],
        lambda column, order: np.full((30, 2), 0.5),
        num_repeats=2,
        on="fitted",
        generator=np.random.default_rng(0),
    )
    assert found["columns"] == []
    assert found["reason"]


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 1e6])
@pytest.mark.parametrize("num_columns", [1, 7, 5_000])
@pytest.mark.parametrize("num_rows", [3, 400, 100_000])
def test__plan__any_size__is_bounded_and_keeps_the_time(
    num_rows: int, num_columns: int, seconds: float
) -> None:
    plan = ImportancePlan.of(num_rows, num_columns, 3, seconds, 1e-4)
    assert 1 <= plan.num_rows <= min(num_rows, MAX_ROWS)
    assert 1 <= plan.num_columns <= num_columns
    passes = plan.num_rows * (plan.num_columns * plan.num_repeats + 1)
    assert passes * 1e-4 <= seconds * 1.01 or plan.num_columns <= MIN_COLUMNS


def test__draw_rows__rare_class__is_drawn_as_often_as_it_can_be() -> None:
    labels = np.array([0.0] * 990 + [1.0] * 10)
    drawn = draw_rows(labels, Task.BINARY, 40, np.random.default_rng(0))
    assert labels[drawn].sum() == 10
    assert len(np.unique(drawn)) == 40


def test__calibration_bins__calibrated_rows__hold_the_diagonal_and_all_rows() -> None:
    generator = np.random.default_rng(3)
    probabilities = generator.uniform(size=4_000)
    bins = calibration_bins(probabilities, generator.uniform(size=4_000) < probabilities, np.ones(4_000))
    assert sum(found.num_rows for found in bins) == 4_000
    assert sum(found.low <= found.predicted <= found.high for found in bins) >= len(bins) - 2
    assert all(0 <= found.low <= found.observed <= found.high <= 1 for found in bins)


def test__calibration_bins__one_probability_or_no_rows__one_bin_or_none() -> None:
    (found,) = calibration_bins(np.full(50, 0.5), np.arange(50) % 2 == 0, np.ones(50))
    assert (found.num_rows, found.observed) == (50, 0.5)
    assert calibration_bins(np.empty(0), np.empty(0, dtype=bool), np.empty(0)) == []


def test__confusion_coverage_and_sample__small_cases__are_counted() -> None:
    counts = confusion_counts(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 0]), 2)
    assert counts.tolist() == [[1, 0], [1, 1]]
    point = interval_coverage(0.9, np.array([1.0, 5.0]), np.array([[0.0, 2.0], [0.0, 4.0]]), np.ones(2))
    assert (point.found, point.size) == (0.5, 3.0)
    in_set = np.array([[True, False, False], [True, True, False], [False, False, True]])
    of_sets = set_coverage(0.9, np.array([0.0, 1.0, 1.0]), in_set, np.ones(3))
    assert [of_sets.found, of_sets.size] == pytest.approx([2 / 3, 4 / 3])
    values = np.random.default_rng(0).normal(size=5_000)
    sample = spread_sample(values, 100)
    assert len(sample) == 100
    assert {int(values.argmin()), int(values.argmax())} <= set(sample.tolist())
