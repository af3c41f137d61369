"""Leaks: columns that give the label away are named; ordinary, strong and random columns are not."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.leaks import MIN_LABELS, find_leaks
from models.features.schema import Task

NUM_ROWS = 200


def _labels(task: Task, rng: np.random.Generator, num_rows: int = NUM_ROWS) -> np.ndarray:
    if task is Task.REGRESSION:
        return rng.normal(size=num_rows)
    return rng.permutation(np.arange(num_rows) % (2 if task is Task.BINARY else 3)).astype(np.float64)


def _innocent(rng: np.random.Generator) -> dict[str, object]:
    return {
        "noise": rng.normal(size=NUM_ROWS),
        "whole": rng.integers(0, 5, NUM_ROWS),
        "name": [f"row {i}" for i in rng.permutation(NUM_ROWS)],  # as many values as rows
        "flag": rng.random(NUM_ROWS) < 0.5,
        "gap": [None if missing else 1.0 for missing in rng.random(NUM_ROWS) < 0.4],
        "constant": ["same"] * NUM_ROWS,
        "empty": pl.Series([None] * NUM_ROWS, dtype=pl.Float64),
        "infinite": np.where(rng.random(NUM_ROWS) < 0.3, np.inf, np.nan),
    }


@pytest.mark.parametrize("task", list(Task))
def test__leaks__column_that_is_the_label__is_named_alone(task: Task) -> None:
    rng = np.random.default_rng(0)
    labels = _labels(task, rng)
    frame = pl.DataFrame({**_innocent(rng), "outcome": labels * 3.0 + 1.0})
    (warning,) = find_leaks(frame, frame.columns, labels, task)
    assert "'outcome' alone" in warning


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test__leaks__label_in_other_words__is_named(task: Task) -> None:
    rng = np.random.default_rng(0)
    labels = _labels(task, rng)
    words = pl.Series([("no", "yes", "later")[int(label)] for label in labels])
    (warning,) = find_leaks(pl.DataFrame({"said": words}), ["said"], labels, task)
    assert "'said'" in warning
    assert "later" not in warning  # names of columns, never contents of cells


def test__leaks__filled_in_only_with_the_outcome__missingness_is_named_once() -> None:
    rng = np.random.default_rng(0)
    labels = _labels(Task.BINARY, rng)
    paid = [float(rng.normal()) if label else None for label in labels]
    (warning,) = find_leaks(pl.DataFrame({"paid": paid}), ["paid"], labels, Task.BINARY)
    assert "'paid' is missing" in warning


@settings(max_examples=25)
@given(task=st.sampled_from(list(Task)), seed=st.integers(0, 2**32 - 1))
def test__leaks__unrelated_columns__say_nothing(task: Task, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame(_innocent(rng))
    assert find_leaks(frame, frame.columns, _labels(task, rng), task) == []


def test__leaks__strong_but_honest_column__says_nothing() -> None:
    rng = np.random.default_rng(0)
    labels = _labels(Task.BINARY, rng)
    frame = pl.DataFrame({"good": labels + 0.5 * rng.normal(size=NUM_ROWS)})  # AUC about 0.92
    assert find_leaks(frame, frame.columns, labels, Task.BINARY) == []


@pytest.mark.parametrize("task", list(Task))
def test__leaks__few_labels_or_one_class__say_nothing(task: Task) -> None:
    rng = np.random.default_rng(0)
    few = _labels(task, rng, MIN_LABELS - 1)
    assert find_leaks(pl.DataFrame({"outcome": few}), ["outcome"], few, task) == []
    same = np.zeros(NUM_ROWS)
    assert find_leaks(pl.DataFrame({"outcome": same}), ["outcome"], same, task) == []
    assert find_leaks(pl.DataFrame(), [], np.empty(0), task) == []


def test__leaks__rare_class__says_nothing_below_ten_labels() -> None:
    labels = np.zeros(NUM_ROWS)
    labels[:9] = 1.0
    assert find_leaks(pl.DataFrame({"outcome": labels}), ["outcome"], labels, Task.BINARY) == []


def test__leaks__columns_not_asked_for_or_not_there__are_left_alone() -> None:
    labels = _labels(Task.BINARY, np.random.default_rng(0))
    frame = pl.DataFrame({"outcome": labels, "other": labels})
    assert find_leaks(frame, ["elsewhere"], labels, Task.BINARY) == []
    assert len(find_leaks(frame, ["other"], labels, Task.BINARY)) == 1
