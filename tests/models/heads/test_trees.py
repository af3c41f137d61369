"""Heads of trees: what they find that a linear head cannot, what they store, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import BundleError
from models.features.schema import Task
from models.heads import load_head
from models.heads.correction import can_be_corrected, fit_correction
from models.heads.cross_fitting import TooSlow, cross_fit
from models.heads.files import HEADER_NAME
from models.heads.forest import ForestHeadConfig
from models.heads.forest_head import FOREST_NAME
from models.heads.gbdt import GbdtHeadConfig
from models.heads.gbdt_head import TREES_NAME, GbdtHead
from models.heads.linear import LinearHeadConfig
from models.heads.linear_head import LinearHead
from models.heads.problem import HeadFit, HeadProblem, Pace
from tests.models.small_problems import features_of, inputs_of, problem_of, small_problem

HUGE = 2.0**96  # a power of two: nothing but the scale changes


def _crossed(num_rows: int = 240) -> HeadProblem:
    """The label is whether two features have the same sign, which no linear function of them says."""
    features = features_of(num_rows, 4)
    centred = features - features.mean(dim=0)
    labels = ((centred[:, 0] > 0) == (centred[:, 1] > 0)).double().numpy()
    return problem_of(features, labels, Task.BINARY)


def _error_rate(problem: HeadProblem, fit: HeadFit) -> float:
    assert fit.out_of_fold is not None
    return float((fit.out_of_fold.argmax(axis=1) != problem.labels[fit.judged]).mean())


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
def test__trees__label_is_a_combination_of_columns__found_where_a_linear_head_finds_nothing(
    config: GbdtHeadConfig | ForestHeadConfig,
) -> None:
    problem = _crossed()
    assert _error_rate(problem, LinearHeadConfig().fit(problem)) > 0.35
    assert _error_rate(problem, config.fit(problem)) < 0.2


def test__correction__of_a_linear_head__adds_what_trees_find_to_its_calibrated_logits() -> None:
    problem = _crossed()
    linear = LinearHeadConfig().fit(problem)
    assert can_be_corrected(problem, linear)
    fit = fit_correction(problem, linear)
    assert fit is not None
    assert isinstance(fit.head, GbdtHead)
    assert _error_rate(problem, fit) < _error_rate(problem, linear)
    assert isinstance(linear.head, LinearHead)
    inputs = inputs_of(fit.head, problem.features)
    sums = fit.head.trees.sums(inputs[0].numpy())
    expected = linear.head.finishing.calibrated(linear.head.scores(inputs_of(linear.head, problem.features)))
    np.testing.assert_allclose(fit.head.scores(inputs) - sums, expected, atol=1e-4)
    loaded = load_head(fit.head.to_files())
    assert loaded.to_files() == fit.head.to_files()
    assert np.array_equal(loaded.finish(inputs).outputs, fit.head.finish(inputs).outputs)


def test__correction__numbers_or_a_class_without_labels__is_not_tried() -> None:
    number = small_problem(Task.REGRESSION)
    assert not can_be_corrected(number, LinearHeadConfig().fit(number))
    classes = small_problem(Task.MULTICLASS)
    more = replace(classes, classes=(*(classes.classes or ()), "never labelled"))
    assert not can_be_corrected(more, LinearHeadConfig().fit(more))


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
def test__trees__class_without_a_label__gets_a_small_share_and_no_more(
    config: GbdtHeadConfig | ForestHeadConfig,
) -> None:
    problem = small_problem(Task.MULTICLASS)
    problem = replace(problem, classes=(*(problem.classes or ()), "never labelled"))
    fit = config.fit(problem)
    for head in (fit.head, load_head(fit.head.to_files())):
        outputs = head.finish(inputs_of(head, problem.features)).outputs
        assert outputs.shape == (len(problem.labels), 4)
        assert 0.0 < outputs[:, 3].max() < 0.2


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
def test__trees__other_number_of_columns__is_refused(config: GbdtHeadConfig | ForestHeadConfig) -> None:
    problem = small_problem(Task.BINARY)
    head = config.fit(problem).head
    with pytest.raises(BundleError, match="columns"):
        head.finish((torch.zeros(3, problem.features.shape[1] + 1),))


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise", "columns", "classes"])
def test__trees__damaged_files__are_refused(config: GbdtHeadConfig | ForestHeadConfig, damage: str) -> None:
    files = config.fit(small_problem(Task.MULTICLASS)).head.to_files()
    name = TREES_NAME if TREES_NAME in files else FOREST_NAME
    header = json.loads(files[HEADER_NAME])
    content = files.pop(name)
    if damage == "columns":
        header["num_columns"] += 1
    elif damage == "classes":
        header["present"] = [0, 7]
    files[HEADER_NAME] = json.dumps(header).encode()
    broken = {"empty": b"", "cut": content[: len(content) // 3], "noise": b"\x00\x01tree" * 9}.get(
        damage, content
    )
    if damage != "missing":
        files[name] = broken
    with pytest.raises(BundleError):
        load_head(files)


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
def test__trees__huge_numbers__same_values_on_their_scale(config: GbdtHeadConfig | ForestHeadConfig) -> None:
    problem = small_problem(Task.REGRESSION)
    usual = config.fit(problem)
    huge = config.fit(replace(problem, labels=problem.labels * HUGE))
    assert usual.out_of_fold is not None
    assert huge.out_of_fold is not None
    np.testing.assert_allclose(huge.out_of_fold, usual.out_of_fold * HUGE, rtol=1e-9)
    loaded = load_head(huge.head.to_files())
    inputs = inputs_of(loaded, problem.features)
    np.testing.assert_array_equal(loaded.finish(inputs).outputs, huge.head.finish(inputs).outputs)


@pytest.mark.parametrize("config", [GbdtHeadConfig(), ForestHeadConfig()], ids=lambda config: config.kind)
def test__trees__stored_before_labels_had_a_scale__are_read(
    config: GbdtHeadConfig | ForestHeadConfig,
) -> None:
    problem = small_problem(Task.BINARY)
    head = config.fit(problem).head
    files = head.to_files()
    header = json.loads(files[HEADER_NAME])
    assert (header.pop("label_centre"), header.pop("label_spread")) == (0.0, 1.0)
    read = load_head(files | {HEADER_NAME: json.dumps(header).encode()})
    inputs = inputs_of(head, problem.features)
    assert np.array_equal(read.finish(inputs).outputs, head.finish(inputs).outputs)


def test__forest__hardly_more_labels_than_classes__says_nothing_of_numbers() -> None:
    """scikit-learn takes many classes of few rows for numbers, and warns once per tree; warnings are errors here."""
    problem = problem_of(features_of(48, 4), np.arange(48.0) % 30, Task.MULTICLASS)
    fit = ForestHeadConfig().fit(problem)
    assert fit.head.classes is not None
    assert len(fit.head.classes) == 30


def test__forest__rows_of_one_group__are_not_judged_by_trees_that_saw_the_others() -> None:
    """Labels are noise, shared within groups of equal rows: out of bag they would be found again."""
    rng = np.random.default_rng(0)
    features = features_of(40, 4).repeat_interleave(4, dim=0)
    labels = np.repeat(rng.integers(0, 2, 40), 4).astype(np.float64)
    problem = problem_of(features, labels, Task.BINARY)
    assert problem.folds is not None
    groups = np.repeat(np.arange(40), 4)
    assignment = (groups % 5).astype(np.int8)[None]
    grouped = replace(
        problem, folds=replace(problem.folds, assignment=assignment, num_folds=5, has_groups=True)
    )
    assert _error_rate(problem, ForestHeadConfig().fit(problem)) < 0.2
    assert _error_rate(grouped, ForestHeadConfig().fit(grouped)) > 0.3


def test__cross_fit__no_time_for_a_repeat__says_how_long_it_would_take() -> None:
    problem = small_problem(Task.BINARY)
    assert problem.folds is not None
    found = cross_fit(
        problem.folds,
        lambda fitted, held_out, division: np.zeros((1, len(held_out), 1)),
        Pace(deadline=0.0),
        max_repeats=1,
    )
    assert isinstance(found, TooSlow)
    assert found.seconds >= 0.0
    late = replace(problem, pace=Pace(deadline=0.0))
    fit = GbdtHeadConfig().fit(late)
    assert fit.scores is None
    assert any("time is short" in warning for warning in fit.warnings)
