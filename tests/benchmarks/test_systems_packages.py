"""Compared systems that come from packages: each on a table so easy that a wrong one shows.

Those whose package is not installed here are skipped; the environment of the benchmark has them all.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from benchmarks.quality.systems import SYSTEMS
from benchmarks.quality.trial import FloatArray, Predict, System
from models.features.schema import Task
from tests.benchmarks.small_trials import easy_trial, with_validation

NAMES = (
    "logistic",
    "ridge",
    "lightgbm",
    "lightgbm-fixed",
    "catboost",
    "catboost-tuned",
    "xgboost",
    "tabm",
    "realmlp",
    "tabnet",
)


SMALL_BUDGETS: dict[str, dict[str, object]] = {
    "linear_models": {"STRENGTHS": np.logspace(2, -1, 3)},
    "lightgbm_trees": {"FEW_LEAVES": (4, 8), "FEW_SHARES": (0.05,), "FEW_ROUNDS": 60},
    "catboost_trees": {
        "LEARNING_RATES": (0.1,),
        "DEPTHS": (4,),
        "MAX_ROUNDS": 30,
        "DEFAULTS": {"iterations": 50},
    },
    "pytabkit_networks": {"TABM_MAX_STEPS": 60},
}
"""The grids are what takes the time; what is tested does not depend on their size."""


@pytest.fixture(scope="module", autouse=True)
def _small_budgets() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, budget in SMALL_BUDGETS.items():
            try:
                imported = importlib.import_module(f"benchmarks.quality.systems.{module}")
            except ImportError:
                continue
            for name, value in budget.items():
                patch.setattr(imported, name, value)
        yield


def system_of(name: str) -> System:
    try:
        return SYSTEMS[name]()
    except ImportError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[(name, task) for name in NAMES for task in Task], ids=lambda pair: "-".join(pair))
def case(request: pytest.FixtureRequest) -> tuple[System, Task]:
    name, task = request.param
    system = system_of(name)
    if task not in system.tasks:
        pytest.skip(f"{name} does not do {task}")
    return system, task


@cache
def fitted(name: str, task: Task) -> Predict:
    return SYSTEMS[name]().fit(easy_trial(task)[0])


def is_distribution(outputs: FloatArray) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, atol=1e-9))


def random_state() -> tuple[list[int], int]:
    """Of numpy's generator that everybody shares: its numbers, and how many of them are used up."""
    state = np.random.get_state(legacy=False)["state"]
    return state["key"].tolist(), state["pos"]


def score(task: Task, labels: FloatArray, outputs: FloatArray) -> float:
    """0 for chance, 1 for perfection."""
    if task is Task.REGRESSION:
        return float(r2_score(labels, outputs))
    scores = outputs[:, 1] if task is Task.BINARY else outputs
    return 2.0 * float(roc_auc_score(labels, scores, multi_class="ovr")) - 1.0


def test__system__easy_table__beats_chance_and_gives_shapes(case: tuple[System, Task]) -> None:
    system, task = case
    trial, rows, labels = easy_trial(task)
    outputs = fitted(system.name, task)(trial.frame[rows])
    assert outputs.dtype == np.float64
    if task is Task.REGRESSION:
        assert outputs.shape == (len(rows),)
    else:
        assert outputs.shape == (len(rows), len(trial.classes))
        assert is_distribution(outputs)
    assert score(task, labels, outputs) > 0.2  # TabNet is far behind the others with so few labels


def test__system__unseen_category_and_nulls__still_predicts(case: tuple[System, Task]) -> None:
    system, task = case
    trial, rows, _ = easy_trial(task)
    frame = trial.frame[rows]
    predict = fitted(system.name, task)
    null = [pl.lit(None, dtype=kind).alias(name) for name, kind in frame.schema.items()]
    damaged = [
        frame.with_columns(pl.lit("never seen").alias("colour")),
        frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("noise")),  # complete in the training rows
        frame.with_columns(null),
        frame.with_columns(pl.lit(1e30).alias("size")),
    ]
    for damage in damaged:
        outputs = predict(damage)
        assert len(outputs) == len(frame)
        assert np.isfinite(outputs).all()
    assert len(predict(frame[:1])) == 1
    assert predict(frame[:0]).shape == ((0,) if task is Task.REGRESSION else (0, len(trial.classes)))


def test__system__same_trial_twice__predicts_the_same_and_leaves_nothing(
    case: tuple[System, Task],
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    system, task = case
    trial, rows, _ = easy_trial(task)
    first = fitted(system.name, task)(trial.frame[rows])
    monkeypatch.chdir(tmp_path)
    capfd.readouterr()
    state = random_state()
    again = system.fit(trial)(trial.frame[rows])
    np.testing.assert_array_equal(first, again)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert random_state() == state


def test__system__validation_rows__are_used_for_choices_alone(case: tuple[System, Task]) -> None:
    system, task = case
    trial, rows, labels = easy_trial(task, num_labels=80)
    trial = with_validation(trial, 30)
    assert score(task, labels, system.fit(trial)(trial.frame[rows])) > 0.2


@pytest.mark.parametrize("name", NAMES)
def test__system__class_of_one_member_and_class_of_none__gives_all_classes(name: str) -> None:
    system = system_of(name)
    if Task.MULTICLASS not in system.tasks:
        pytest.skip(f"{name} does not do classes")
    trial, rows, _ = easy_trial(Task.MULTICLASS, num_labels=25)
    labels = np.where(trial.labels == 2.0, 1.0, trial.labels)
    labels[3] = 2.0
    trial = replace(trial, labels=labels, classes=(*trial.classes, "never"))
    outputs = system.fit(trial)(trial.frame[rows])
    assert outputs.shape == (len(rows), 4)
    assert is_distribution(outputs)
    assert (outputs[:, 3] < 0.1).all()


@pytest.mark.parametrize("name", NAMES)
def test__system__rarest_labels__still_predicts(name: str) -> None:
    system = system_of(name)
    if Task.BINARY not in system.tasks:
        pytest.skip(f"{name} does not do classes")
    trial, rows, _ = easy_trial(Task.BINARY, num_labels=25)
    for num_positive in (0, 1, 2):
        outputs = system.fit(replace(trial, labels=(np.arange(25.0) < num_positive).astype(float)))(
            trial.frame[rows]
        )
        assert is_distribution(outputs)


def test__systems__package_missing__factory_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    monkeypatch.delitem(sys.modules, "benchmarks.quality.systems.catboost_trees", raising=False)
    with pytest.raises(ImportError, match="catboost"):
        SYSTEMS["catboost"]()
