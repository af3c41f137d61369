"""What every head kind must hold, whatever it fits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from pydantic import BaseModel, TypeAdapter, ValidationError

from models.errors import Interrupted
from models.evaluation.judged import JudgedRows
from models.evaluation.metrics import NO_SKILL, PRIMARY, estimate_all
from models.features.schema import Task
from models.heads import DEFAULT_HEAD, HEADS, READERS, HeadConfig, load_head
from models.heads.prediction import HiddenColumnPass, RowFeaturesPass
from models.heads.problem import HeadFit, HeadProblem, Pace
from tests.models.small_problems import (
    FINGERPRINT,
    VIEW,
    features_of,
    inputs_of,
    labels_of,
    problem_of,
    small_problem,
    without_folds,
)

ADAPTER: TypeAdapter[HeadConfig] = TypeAdapter(HeadConfig)
CONFIGS = [pytest.param(config, id=config.model_fields["kind"].default) for config in HEADS]
TASKS = list(Task)
FIELDS = ("probabilities", "label_index", "value", "interval", "in_set")
MakeConfig = Callable[[], HeadConfig]


@cache
def _small(config: MakeConfig, task: Task, has_folds: bool = True) -> tuple[HeadProblem, HeadFit]:
    problem = small_problem(task) if has_folds else without_folds(small_problem(task))
    return problem, _fit(config, problem)


def _fit(config: MakeConfig, problem: HeadProblem) -> HeadFit:
    return config().fit(problem)


def test__head_kinds__registered__each_under_a_name_of_its_own() -> None:
    kinds = [config().kind for config in HEADS]
    assert len(set(kinds)) == len(kinds)
    assert DEFAULT_HEAD.kind in kinds


@pytest.mark.parametrize("config", CONFIGS)
def test__head_config__json_round_trip__equal_and_of_its_kind(config: type[BaseModel]) -> None:
    made = config()
    read = ADAPTER.validate_json(made.model_dump_json())
    assert read == made
    assert type(read) is config
    assert ADAPTER.validate_python({"kind": config.model_fields["kind"].default}) == made


@pytest.mark.parametrize("config", CONFIGS)
def test__head_config__unknown_option_or_assignment__is_refused(config: type[BaseModel]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(config().model_dump() | {"no_such_option": 1})
    with pytest.raises(ValidationError):
        config().kind = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize("has_folds", [True, False])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", CONFIGS)
def test__head__fitted__says_what_it_was_fitted_for(
    config: type[HeadConfig], task: Task, has_folds: bool
) -> None:
    problem, fit = _small(config, task, has_folds)
    head = fit.head
    assert head.kind in READERS
    assert (head.task, head.classes, head.view) == (task, problem.classes, VIEW)
    assert head.encoder_fingerprint == FINGERPRINT
    assert head.num_bytes > 0
    assert head.needs
    for need in head.needs:
        if isinstance(need, RowFeaturesPass):
            assert need.weight.shape == (len(need.bias), problem.features.shape[1])
            assert need.weight.dtype == need.bias.dtype == torch.float32
            assert head.num_bytes >= need.weight.nbytes + need.bias.nbytes
        elif isinstance(need, HiddenColumnPass):
            assert need.column in head.view
    if not has_folds or not config.learns_from_labels:
        assert fit.out_of_fold is None
        return
    assert problem.folds is not None
    assert fit.out_of_fold is not None
    assert np.array_equal(fit.judged, problem.folds.rows)
    assert bool(np.isfinite(fit.out_of_fold).all())
    if task is not Task.REGRESSION:
        np.testing.assert_allclose(fit.out_of_fold.sum(axis=1), 1.0, atol=1e-9)
        assert fit.out_of_fold.shape == (len(fit.judged), len(problem.classes or ()))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", CONFIGS)
def test__head__fitted_twice__same_files_and_global_generators_untouched(
    config: MakeConfig, task: Task
) -> None:
    before = torch.random.get_rng_state(), str(np.random.get_state())
    found = _fit(config, small_problem(task)).head.to_files()
    assert found == _small(config, task)[1].head.to_files()
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == str(np.random.get_state())


@pytest.mark.parametrize("has_folds", [True, False])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", CONFIGS)
def test__head__files_round_trip__same_words_and_bits(
    config: MakeConfig, task: Task, has_folds: bool
) -> None:
    problem, fit = _small(config, task, has_folds)
    head = fit.head
    files = head.to_files()
    loaded = load_head(files)
    assert loaded.to_files() == files
    assert loaded.kind == head.kind
    one = head.finish(inputs_of(head, problem.features), 0.8)
    other = loaded.finish(inputs_of(loaded, problem.features), 0.8)
    for name in FIELDS:
        left, right = getattr(one, name), getattr(other, name)
        assert (left is None) == (right is None)
        assert left is None or np.array_equal(left, right)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", CONFIGS)
def test__head__one_row_or_none__as_in_the_batch(config: MakeConfig, task: Task) -> None:
    problem, fit = _small(config, task)
    head = fit.head
    inputs = inputs_of(head, problem.features)
    whole, alone, none = (
        head.finish(tuple(part[rows] for part in inputs)) for rows in (slice(None), slice(7, 8), slice(0))
    )
    assert (whole.num_rows, alone.num_rows, none.num_rows) == (len(problem.features), 1, 0)
    for name in FIELDS:
        of_all = getattr(whole, name)
        assert of_all is None or np.array_equal(of_all[7:8], getattr(alone, name))


@pytest.mark.parametrize("config", CONFIGS)
def test__head__asked_to_stop__is_interrupted(config: MakeConfig) -> None:
    problem = small_problem(Task.BINARY)
    stopped = HeadProblem(
        **{name: getattr(problem, name) for name in HeadProblem.__slots__ if name != "pace"},
        pace=Pace(should_stop=lambda: True),
    )
    with pytest.raises(Interrupted):
        _fit(config, stopped)


LEARNING = [
    pytest.param(config, id=config.model_fields["kind"].default)
    for config in HEADS
    if config.learns_from_labels
]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", LEARNING)
def test__head__labels_that_changed_places__out_of_fold_no_better_than_chance(
    config: MakeConfig, task: Task
) -> None:
    features = features_of(240)
    labels = np.random.default_rng(4).permutation(labels_of(features, task))
    problem = problem_of(features, labels, task)
    fit = _fit(config, problem)
    assert fit.out_of_fold is not None
    judged = JudgedRows(
        task, "out_of_fold", fit.judged, labels[fit.judged], fit.out_of_fold, problem.weights[fit.judged]
    )
    estimate = estimate_all(judged)[PRIMARY[task]]
    interval = estimate.interval(0.999)
    assert interval is not None
    assert interval.low <= NO_SKILL[task]
    if task is not Task.REGRESSION:
        assert interval.high >= NO_SKILL[task]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("config", LEARNING)
def test__head__new_rows__sets_and_intervals_hold_what_they_promise(config: MakeConfig, task: Task) -> None:
    features = features_of(1_000)
    labels = labels_of(features, task, noise=1.0)
    head = _fit(config, problem_of(features[:300], labels[:300], task)).head
    prediction = head.finish(inputs_of(head, features[300:]), 0.9)
    if task is Task.REGRESSION:
        assert prediction.interval is not None
        hits = (prediction.interval[:, 0] <= labels[300:]) & (labels[300:] <= prediction.interval[:, 1])
    else:
        assert prediction.in_set is not None
        hits = prediction.in_set[np.arange(700), labels[300:].astype(np.int64)]
        assert bool(prediction.in_set.any(axis=1).all())
        assert not bool(prediction.in_set.all())
    assert 0.84 <= float(hits.mean()) <= 0.97  # one draw of 300 labels: a standard deviation is about .02
