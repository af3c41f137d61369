"""What a report says of a head's promises: coverage that is cross-fitted, and a control on labels that mean nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import InputError
from models.features.schema import Task
from models.heads.folds import divide
from models.heads.linear import LinearHeadConfig
from models.heads.problem import HeadFit, HeadProblem, Pace
from models.training.trust import COVERAGES, cross_fitted_coverage, permutation_control, with_trust
from tests.models.small_problems import features_of, labels_of, problem_of, small_problem, without_folds

TASKS = list(Task)


def _trusted(problem: HeadProblem, seconds: float = 0.01) -> HeadFit:
    config = LinearHeadConfig()
    return with_trust(problem, config.fit(problem), config.fit, seconds=seconds, seed=0)


@pytest.mark.parametrize("task", TASKS)
def test__trust__any_task__says_coverage_and_a_control_at_chance(task: Task) -> None:
    problem = small_problem(task, num_rows=150)
    plain = LinearHeadConfig().fit(problem)
    fit = _trusted(problem)
    json.dumps(fit.report, allow_nan=False)
    assert fit.report.keys() - plain.report.keys() == {"coverage", "permutation_control"}
    assert fit.warnings == plain.warnings
    assert fit.head.to_files() == plain.head.to_files()
    coverage, control = fit.report["coverage"], fit.report["permutation_control"]
    assert isinstance(coverage, list)
    assert isinstance(control, dict)
    assert [point["asked"] for point in coverage] == list(COVERAGES)
    size = "mean_width" if task is Task.REGRESSION else "mean_size"
    sizes = [point[size] for point in coverage]
    assert sizes == sorted(sizes)
    for point in coverage:
        assert point["low"] <= point["found"] <= point["high"]
        assert point["high"] >= point["asked"] - 0.02
    assert control["is_above_chance"] is False
    assert control["low"] <= control["value"] <= control["high"]
    assert _trusted(problem).report == fit.report


def test__coverage__labels_of_a_fold_changed__its_own_promises_stay() -> None:
    problem = small_problem(Task.REGRESSION, num_rows=200)
    assert problem.folds is not None
    scores = np.zeros((200, 1))
    labels = np.random.default_rng(0).normal(size=200)
    far = np.where(problem.folds.assignment[0] == 0, labels + 1e6, labels)
    found = cross_fitted_coverage(Task.REGRESSION, scores, far, np.ones(200), problem.folds)
    assert all(point["found"] < 0.82 for point in found[:3])


def _repeated_rows(num_distinct: int) -> HeadProblem:
    """Every row four times, with a label of its own that no feature gives away."""
    features = features_of(num_distinct, 60).repeat(4, 1)
    labels = np.tile(np.random.default_rng(1).integers(0, 2, num_distinct).astype(np.float64), 4)
    return problem_of(features, labels, Task.BINARY)


def test__control__rows_repeated_over_folds__above_chance_and_warned_of() -> None:
    fit = _trusted(_repeated_rows(60))
    control = fit.report["permutation_control"]
    assert isinstance(control, dict)
    assert control["is_above_chance"] is True
    assert control["low"] > 0.6
    assert "group" in fit.warnings[-1]


def test__control__repeated_rows_kept_together__at_chance() -> None:
    problem = _repeated_rows(60)
    groups = np.tile(np.arange(60), 4)
    folds = divide(problem.labels, Task.BINARY, generator=np.random.default_rng(0), groups=groups)
    control = _trusted(replace(problem, folds=folds)).report["permutation_control"]
    assert isinstance(control, dict)
    assert control["is_above_chance"] is False


def test__control__rows_alike_in_nothing__labels_only_change_places() -> None:
    problem, seen = small_problem(Task.BINARY, num_rows=90), []

    def fit_again(shuffled: HeadProblem) -> HeadFit:
        seen.append(shuffled)
        return LinearHeadConfig().fit(shuffled)

    assert problem.folds is not None
    permutation_control(problem, problem.folds, fit_again, seconds=0.0, seed=3)
    (shuffled,) = seen
    assert sorted(shuffled.labels) == sorted(problem.labels)
    assert not np.array_equal(shuffled.labels, problem.labels)
    assert torch.equal(shuffled.features, problem.features)
    assert shuffled.folds is not None
    assert shuffled.folds.num_repeats == 1


def test__control__more_rows_than_it_takes__a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.training.trust.MAX_CONTROL_ROWS", 100)
    features = features_of(400)
    problem = problem_of(features, labels_of(features, Task.BINARY), Task.BINARY)
    control = _trusted(problem).report["permutation_control"]
    assert isinstance(control, dict)
    assert control["n"] == 100


def _control(problem: HeadProblem, seconds: float = 0.01) -> dict[str, object]:
    control = _trusted(problem, seconds).report["permutation_control"]
    assert isinstance(control, dict)
    return control


def test__control__where_it_cannot_be__says_why() -> None:
    problem = small_problem(Task.BINARY)
    late = replace(problem, pace=Pace(deadline=0.0))
    assert "time" in str(_control(late)["reason"])
    assert "20 are needed" in str(_control(small_problem(Task.REGRESSION, num_rows=12))["reason"])
    assert "permutation_control" not in _trusted(without_folds(problem)).report
    assert problem.folds is not None

    def refuse(shuffled: HeadProblem) -> HeadFit:
        raise InputError("no", code="no")

    found = permutation_control(problem, problem.folds, refuse, seconds=0.0, seed=0)
    assert found.keys() == {"reason"}


def test__control__one_label_of_the_rarer_class_in_a_fold__is_left_out_or_at_chance() -> None:
    labels = np.zeros(60)
    labels[:2] = 1.0
    problem = problem_of(features_of(60), labels, Task.BINARY)
    control = _control(problem)
    assert "reason" in control or control["is_above_chance"] is False
