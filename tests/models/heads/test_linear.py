"""The linear head end to end: it learns what is there, claims nothing that is not, and survives odd labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import InputError, Interrupted, LabelError
from models.evaluation.metrics import auc
from models.features.schema import Task
from models.heads import load_head
from models.heads.linear import LinearHeadConfig, fit_plain
from models.heads.linear_head import LinearHead
from models.heads.prediction import FloatArray, HeadPrediction
from models.heads.problem import HeadFit, HeadProblem, Pace
from models.heads.scaling import FeatureScaling
from models.training.labels import check_labels
from models.training.targets import TargetData
from tests.models.small_problems import (
    class_names,
    features_of,
    inputs_of,
    labels_of,
    logits_of,
    problem_of,
    small_problem,
    without_folds,
)

TASKS = list(Task)


def _fit(problem: HeadProblem) -> HeadFit:
    return LinearHeadConfig().fit(problem)


def _predict(fit: HeadFit, features: torch.Tensor, coverage: float = 0.9) -> HeadPrediction:
    return fit.head.finish(inputs_of(fit.head, features), coverage)


def _assert_sane(prediction: HeadPrediction) -> None:
    if prediction.probabilities is not None:
        assert bool(np.isfinite(prediction.probabilities).all())
        np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1.0, atol=1e-12)
        return
    assert prediction.value is not None
    assert bool(np.isfinite(prediction.value).all())
    if prediction.interval is not None:
        assert bool((prediction.interval[:, 0] <= prediction.value).all())
        assert bool((prediction.interval[:, 1] >= prediction.value).all())


def _auc(scores: FloatArray, labels: FloatArray) -> float:
    found = auc(scores, labels, np.ones(len(labels))).value
    assert found is not None
    return found


def _split(task: Task, num_features: int = 6) -> tuple[HeadProblem, torch.Tensor, FloatArray]:
    """A problem of 100 rows, and 400 rows more."""
    features = features_of(500, num_features)
    labels = labels_of(features, task)
    return problem_of(features[:100], labels[:100], task), features[100:], labels[100:]


@pytest.mark.parametrize("num_features", [6, 150])
def test__linear_head__binary_signal__ranks_new_rows(num_features: int) -> None:
    problem, features, labels = _split(Task.BINARY, num_features)
    fit = _fit(problem)
    probabilities = _predict(fit, features).probabilities
    assert probabilities is not None
    assert fit.out_of_fold is not None
    least = 0.9 if num_features == 6 else 0.6
    assert _auc(probabilities[:, 1], labels) > least
    assert _auc(fit.out_of_fold[:, 1], problem.labels[fit.judged]) > least - 0.05


def test__linear_head__multiclass_signal__names_new_rows() -> None:
    problem, features, labels = _split(Task.MULTICLASS)
    prediction = _predict(_fit(problem), features)
    assert prediction.label_index is not None
    most_common = float((labels == np.bincount(labels.astype(np.int64)).argmax()).mean())
    assert float((prediction.label_index == labels).mean()) > max(0.7, most_common + 0.1)


@pytest.mark.parametrize("task", TASKS)
def test__linear_head__signal__out_of_fold_close_to_new_rows(task: Task) -> None:
    problem, features, labels = _split(task)
    fit = _fit(problem)
    assert fit.out_of_fold is not None
    prediction = _predict(fit, features)

    def error(outputs: FloatArray | None, labels: FloatArray) -> float:
        assert outputs is not None
        if task is Task.REGRESSION:
            return float(np.square(outputs - labels).mean())
        return float(-np.log(outputs[np.arange(len(labels)), labels.astype(np.int64)]).mean())

    seen = error(fit.out_of_fold, problem.labels[fit.judged])
    new = error(prediction.value if task is Task.REGRESSION else prediction.probabilities, labels)
    assert 0.5 < seen / new < 2.0


def test__linear_head__regression_signal__values_and_intervals_hold_on_new_rows() -> None:
    problem, features, labels = _split(Task.REGRESSION)
    prediction = _predict(_fit(problem), features, coverage=0.8)
    assert prediction.value is not None
    assert prediction.interval is not None
    assert float(np.square(prediction.value - labels).mean()) < 0.25 * labels.var()
    inside = (labels >= prediction.interval[:, 0]) & (labels <= prediction.interval[:, 1])
    # 100 residuals: the coverage of one fit has a deviation of 0.04.
    assert 0.68 < float(inside.mean()) < 0.92


def test__linear_head__permuted_labels__out_of_fold_auc_near_one_half() -> None:
    rng = np.random.default_rng(0)
    features = features_of(120, 30)
    labels = labels_of(features, Task.BINARY)
    found = []
    for seed in range(12):
        problem = problem_of(features, rng.permutation(labels), Task.BINARY, seed=seed)
        fit = _fit(problem)
        assert fit.out_of_fold is not None
        found.append(_auc(fit.out_of_fold[:, 1], problem.labels))
    # One AUC over 120 rows has a deviation of 0.053, the mean of twelve 0.015: four of them.
    assert abs(float(np.mean(found)) - 0.5) < 0.061


def _target(task: Task, values: FloatArray, num_classes: int) -> TargetData:
    rows = np.arange(len(values))
    return TargetData(
        name="target",
        task=task,
        classes=class_names(task, num_classes),
        view=(),
        rows=rows,
        values=values,
        evaluation=np.zeros(len(values), dtype=np.bool_),
    )


@pytest.mark.parametrize("num_classes", [1, 2])
def test__labels__one_class__refused_with_code(num_classes: int) -> None:
    with pytest.raises(LabelError) as caught:
        check_labels(_target(Task.BINARY, np.zeros(9), num_classes), 9, np.random.default_rng(0))
    assert caught.value.code == "one_class"


@pytest.mark.parametrize("has_folds", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test__linear_head__saved_and_loaded__finishes_bitwise(task: Task, has_folds: bool) -> None:
    problem = small_problem(task)
    fit = _fit(problem if has_folds else without_folds(problem))
    loaded = load_head(fit.head.to_files())
    logits = logits_of(fit.head, problem.features)
    assert torch.equal(logits_of(loaded, problem.features), logits)
    for coverage in (0.5, 0.9, 0.99):
        before, after = fit.head.finish((logits,), coverage), loaded.finish((logits,), coverage)
        for name in ("probabilities", "label_index", "value", "interval"):
            one, other = getattr(before, name), getattr(after, name)
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other)
    assert loaded.to_files() == fit.head.to_files()


@pytest.mark.parametrize("task", TASKS)
def test__linear_head__wild_logits__still_probabilities_and_each_row_by_itself(task: Task) -> None:
    head = _fit(small_problem(task)).head
    assert isinstance(head, LinearHead)
    sizes = torch.tensor([0.0, 1e-30, 1.0, -40.0, 800.0, -1e6, 1e30, -3e38])
    logits = torch.stack([sizes.roll(i) for i in range(len(head.bias))], dim=1)
    prediction = head.finish((logits,))
    _assert_sane(prediction)
    for number in range(len(logits)):
        alone = head.finish((logits[number : number + 1],))
        for name in ("probabilities", "label_index", "value", "interval"):
            whole = getattr(prediction, name)
            assert whole is None or np.array_equal(whole[number : number + 1], getattr(alone, name))
    assert head.finish((logits[:0],)).num_rows == 0


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, float("nan")])
@pytest.mark.parametrize("task", TASKS)
def test__linear_head__impossible_coverage__is_refused(task: Task, coverage: float) -> None:
    head = _fit(without_folds(small_problem(task))).head
    assert isinstance(head, LinearHead)
    with pytest.raises(InputError) as caught:
        head.finish((torch.zeros(1, len(head.bias)),), coverage)
    assert caught.value.code == "invalid_coverage"


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test__linear_head__one_label_per_class__fits_without_folds(task: Task) -> None:
    num_classes = 2 if task is Task.BINARY else 5
    features = features_of(num_classes, 20)
    problem = problem_of(features, np.arange(num_classes, dtype=np.float64), task)
    assert problem.folds is None
    fit = _fit(problem)
    assert fit.out_of_fold is None
    _assert_sane(_predict(fit, features_of(50, 20, seed=1)))
    index = _predict(fit, features).label_index
    assert index is not None
    assert index.tolist() == list(range(num_classes))


def test__linear_head__two_numbers__fits_and_keeps_its_head() -> None:
    features = features_of(2, 20)
    fit = _fit(problem_of(features, np.asarray([3.0, 5.0]), Task.REGRESSION))
    _assert_sane(_predict(fit, features))


@pytest.mark.parametrize("constant", [0.0, -3.25, 1e9])
def test__linear_head__constant_target__says_that_number(constant: float) -> None:
    features = features_of(40)
    fit = _fit(problem_of(features, np.full(40, constant), Task.REGRESSION))
    prediction = _predict(fit, features)
    _assert_sane(prediction)
    assert prediction.value is not None
    np.testing.assert_allclose(prediction.value, constant, rtol=1e-5, atol=1e-6)


def test__linear_head__sixty_classes__learns_and_stays_a_distribution() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 4).astype(np.float64)
    centres = rng.normal(size=(60, 12))
    features = torch.from_numpy(
        (centres[labels.astype(np.int64)] + 0.2 * rng.normal(size=(240, 12))).astype(np.float32)
    )
    fit = _fit(problem_of(features, labels, Task.MULTICLASS))
    assert fit.out_of_fold is not None
    assert fit.out_of_fold.shape == (240, 60)
    assert float((fit.out_of_fold.argmax(axis=1) == labels[fit.judged]).mean()) > 0.8
    _assert_sane(_predict(fit, features))


def test__linear_head__class_without_labels__gets_a_small_probability() -> None:
    features = features_of(60)
    labels = labels_of(features, Task.BINARY)
    problem = problem_of(features, labels, Task.MULTICLASS, num_classes=4)
    prediction = _predict(_fit(problem), features)
    _assert_sane(prediction)
    assert prediction.probabilities is not None
    assert float(prediction.probabilities[:, 2:].mean()) < 0.05


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_rows", [12, 30])
def test__linear_head__labelled_rows_all_alike__predicts_about_the_base_rate_elsewhere(
    task: Task, num_rows: int
) -> None:
    """Rows that are equal teach nothing but how common each label is, whatever rounding makes of their mean."""
    sample = features_of(300, 20)
    features = sample[:1].repeat(num_rows, 1)
    labels = np.arange(num_rows, dtype=np.float64) % 3
    if task is Task.BINARY:
        labels = np.minimum(labels, 1.0)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, num_rows)
    problem = replace(
        problem_of(features, labels, task, weights=weights),
        scaling=problem_of(sample, np.zeros(300), Task.REGRESSION).scaling,
    )
    prediction = _predict(_fit(problem), sample)
    _assert_sane(prediction)
    outputs = prediction.value if task is Task.REGRESSION else prediction.probabilities
    assert outputs is not None
    assert float(np.ptp(outputs, axis=0).max()) < 0.05


@pytest.mark.parametrize("task", TASKS)
def test__linear_head__features_that_do_not_move__predicts_one_constant(task: Task) -> None:
    features = torch.full((30, 4), 0.1)
    labels = np.arange(30, dtype=np.float64) % (2 if task is Task.BINARY else 3)
    prediction = _predict(_fit(problem_of(features, labels, task)), features)
    _assert_sane(prediction)
    outputs = prediction.value if task is Task.REGRESSION else prediction.probabilities
    assert outputs is not None
    assert float(np.ptp(outputs, axis=0).max()) == 0.0


@pytest.mark.parametrize("task", TASKS)
def test__linear_head__rows_in_another_order__same_head(task: Task) -> None:
    problem = without_folds(small_problem(task))
    order = np.random.default_rng(0).permutation(len(problem.labels))
    shuffled = replace(
        problem, features=problem.features[torch.from_numpy(order)], labels=problem.labels[order]
    )
    one, other = _fit(problem).head, _fit(shuffled).head
    # Both stop within 1e-8 of the least mean loss, which holds logits to about the root of that.
    np.testing.assert_allclose(
        logits_of(one, problem.features), logits_of(other, problem.features), atol=2e-3, rtol=1e-4
    )


@pytest.mark.parametrize("task", TASKS)
def test__linear_head__feature_in_another_unit__same_predictions(task: Task) -> None:
    problem = small_problem(task)
    units = torch.tensor([1e-2, 1.0, 16.0, 1e3, 0.5, 3.0])
    other = problem_of(problem.features * units, problem.labels, task)
    first = logits_of(_fit(problem).head, problem.features)
    second = logits_of(_fit(other).head, other.features)
    np.testing.assert_allclose(first, second, atol=5e-3, rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-20, 1e29])
def test__linear_head__labels_in_another_unit__same_predictions(unit: float) -> None:
    problem = small_problem(Task.REGRESSION)
    other = problem_of(problem.features, problem.labels * unit, Task.REGRESSION)
    first, second = (_predict(_fit(given), problem.features).value for given in (problem, other))
    np.testing.assert_allclose(np.asarray(second) / unit, np.asarray(first), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("task", TASKS)
def test__plain_linear_head__features_without_gain__have_no_say_in_fit_or_prediction(task: Task) -> None:
    problem = small_problem(task)
    gain = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    scaling = FeatureScaling(torch.zeros(6), gain)
    changed = problem.features.clone()
    changed[:, gain == 0.0] += torch.randn(len(changed), 2, generator=torch.Generator().manual_seed(1))
    one, other = (
        fit_plain(replace(problem, features=given), scaling) for given in (problem.features, changed)
    )
    assert isinstance(one.head, LinearHead)
    assert isinstance(other.head, LinearHead)
    assert torch.equal(one.head.weight, other.head.weight)
    assert bool((one.head.weight[:, gain == 0.0] == 0.0).all())
    assert bool((one.head.weight[:, gain > 0.0] != 0.0).any())
    assert one.report["features"] == "straight lines"


def test__labels__huge_number__refused_with_code() -> None:
    target = _target(Task.REGRESSION, np.array([1.0, 1e308, -1e308]), 0)
    with pytest.raises(LabelError) as caught:
        check_labels(target, 3, np.random.default_rng(0))
    assert caught.value.code == "value_out_of_range"


def test__linear_head__asked_to_stop__is_interrupted() -> None:
    with pytest.raises(Interrupted):
        _fit(replace(small_problem(Task.BINARY), pace=Pace(should_stop=lambda: True)))
