"""Fine-tuning: many targets in one call, hold-out labels that only judge, and honest words about every head."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.errors import Interrupted
from models.features.schema import Task
from models.heads import DEFAULT_HEAD, HeadConfig, LinearHeadConfig
from models.heads.problem import HeadFit, HeadProblem
from models.predictor import Predictor
from models.progress import ShouldStop, never_stop
from models.training.finetuning import HeadFailure, HeadResult, TargetData, fit_heads
from tests.models.conftest import Pretrained

DEFAULT_SECONDS = 60.0  # what a fine-tune gets where nobody says otherwise
AMPLE_SECONDS = 1e6  # where nothing may depend on how busy the machine is
NUM_TRAIN = 160  # folds of so many labels are repeated only twice: fewer labels take longer
NO_VIEW: tuple[str, ...] = ()


def _target(
    ground: Pretrained,
    task: Task,
    *,
    name: str | None = None,
    num_train: int = NUM_TRAIN,
    num_holdout: int = 0,
    view: tuple[str, ...] = NO_VIEW,
    seed: int = 0,
) -> TargetData:
    """Labels of the signal and noise, of the first rows; hold-out rows come after the training rows."""
    num_labels = num_train + num_holdout
    noisy = ground.signal[:num_labels] + np.random.default_rng([seed, len(task)]).normal(size=num_labels)
    classes: tuple[str, ...] | None = None
    values: np.ndarray = noisy
    if task is not Task.REGRESSION:
        classes = ("no", "yes") if task is Task.BINARY else ("low", "middle", "high")
        edges = [1.5] if task is Task.BINARY else [1.0, 2.0]
        values = np.searchsorted(edges, noisy).astype(np.int64)
    return TargetData(
        name=name or str(task),
        task=task,
        classes=classes,
        view=view,
        rows=np.arange(num_labels),
        values=values,
        evaluation=np.arange(num_labels) >= num_train,
    )


def _fit(
    ground: Pretrained,
    targets: Sequence[TargetData],
    *,
    config: HeadConfig = DEFAULT_HEAD,
    baselines: bool = False,
    should_stop: ShouldStop = never_stop,
    max_seconds: float = DEFAULT_SECONDS,
) -> list[HeadResult | HeadFailure]:
    return fit_heads(
        ground.bundle,
        ground.frame,
        targets,
        config,
        seed=0,
        max_seconds=max_seconds,
        should_stop=should_stop,
        baselines=baselines,
    )


def _fit_one(
    ground: Pretrained, target: TargetData, *, baselines: bool = False, max_seconds: float = DEFAULT_SECONDS
) -> HeadResult:
    (found,) = _fit(ground, [target], baselines=baselines, max_seconds=max_seconds)
    assert isinstance(found, HeadResult), found
    return found


def _check_finite(ground: Pretrained, result: HeadResult) -> None:
    (prediction,) = Predictor(ground.bundle).predict(ground.frame, [result.head]).predictions
    assert bool(np.isfinite(prediction.outputs).all())


@pytest.fixture(scope="module")
def all_tasks(pretrained: Pretrained) -> dict[Task, HeadResult]:
    """Three tasks in one call, with baselines, in two views."""
    targets = [
        _target(pretrained, Task.BINARY),
        _target(pretrained, Task.MULTICLASS, view=("warmth",)),
        _target(pretrained, Task.REGRESSION),
    ]
    found = _fit(pretrained, targets, baselines=True, max_seconds=AMPLE_SECONDS)
    assert [result.name for result in found] == [target.name for target in targets]
    return {Task(result.name): result for result in found if isinstance(result, HeadResult)}


def test__fit_heads__three_tasks_in_one_call__all_learn_and_answer_in_plain_json(
    all_tasks: dict[Task, HeadResult],
) -> None:
    assert set(all_tasks) == set(Task)
    for task, result in all_tasks.items():
        assert result.head.task is task
        assert result.beats_constant
        assert [part.on for part in result.judged] == ["out_of_fold"]
        assert result.report["num_fitted"] == NUM_TRAIN
        json.dumps([result.metrics, result.baselines, result.report], allow_nan=False)
    assert all_tasks[Task.MULTICLASS].head.view == ("warmth",)
    assert all_tasks[Task.BINARY].metrics["auc"]["value"] > 0.7
    assert all_tasks[Task.REGRESSION].metrics["r2"]["value"] > 0.3


def test__fit_heads__default_time__baselines_stand_beside_every_head(
    all_tasks: dict[Task, HeadResult],
) -> None:
    for task, result in all_tasks.items():
        linear = "ridge" if task is Task.REGRESSION else "logistic"
        assert set(result.baselines) == {linear, "lightgbm"}, result.warnings
        for found in result.baselines.values():
            assert set(found) == set(result.metrics)
        assert set(result.report["comparisons"]) == set(result.baselines)
        assert "raw features" in result.verdict or "LightGBM" in result.verdict


def test__fit_heads__head_took_all_the_time__baselines_still_stand_beside(
    pretrained: Pretrained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow machine, by its clock: the head takes longer than everything together was meant to."""
    late = [0.0]
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + late[0])

    class Slow(LinearHeadConfig):
        def fit(self, problem: HeadProblem) -> HeadFit:
            late[0] += 2 * DEFAULT_SECONDS
            return super().fit(problem)

    targets = [_target(pretrained, Task.BINARY, name=name) for name in ("first", "second")]
    for result in _fit(pretrained, targets, config=Slow(), baselines=True):
        assert isinstance(result, HeadResult)
        assert set(result.baselines) == {"logistic", "lightgbm"}, result.warnings


def test__fit_heads__head_in_company_or_alone_again__same_head_bitwise(
    pretrained: Pretrained, all_tasks: dict[Task, HeadResult]
) -> None:
    for task in (Task.BINARY, Task.REGRESSION):
        alone = _fit_one(pretrained, _target(pretrained, task), max_seconds=AMPLE_SECONDS)
        assert alone.to_files() == all_tasks[task].to_files()
        assert alone.metrics == all_tasks[task].metrics


@pytest.mark.parametrize("task", list(Task))
def test__fit_heads__evaluation_labels_changed__head_and_out_of_fold_bitwise_the_same(
    pretrained: Pretrained, task: Task
) -> None:
    target = _target(pretrained, task, num_train=50, num_holdout=220)
    shuffled = target.values.copy()
    shuffled[50:] = np.random.default_rng(1).permutation(shuffled[50:])
    first = _fit_one(pretrained, target)
    other = _fit_one(pretrained, replace(target, values=shuffled))
    assert first.head.to_files() == other.head.to_files()
    plain = {name: entry for name, entry in first.metrics.items() if name != "holdout"}
    assert plain == {name: entry for name, entry in other.metrics.items() if name != "holdout"}
    assert first.metrics["holdout"] != other.metrics["holdout"]
    assert not {*first.judged[0].rows.tolist()} & set(range(50, 270))


def _with_positives(ground: Pretrained, num_holdout: int, num_positive: int) -> TargetData:
    target = _target(ground, Task.BINARY, num_train=40, num_holdout=num_holdout)
    values = target.values.copy()
    values[40:] = np.arange(num_holdout) < num_positive
    return replace(target, values=values)


@pytest.mark.parametrize(
    ("num_holdout", "num_positive", "reported"),
    [(199, 100, False), (200, 100, True), (300, 19, False), (300, 20, True), (300, 281, False)],
)
def test__fit_heads__holdout_metrics__only_with_200_labels_and_20_per_class(
    pretrained: Pretrained, num_holdout: int, num_positive: int, reported: bool
) -> None:
    found = _fit_one(pretrained, _with_positives(pretrained, num_holdout, num_positive))
    assert ("holdout" in found.metrics) == reported
    assert ([part.on for part in found.judged] == ["out_of_fold", "holdout"]) == reported
    assert found.report["num_holdout"] == num_holdout
    assert bool(found.report["not_reported"]) != reported


def test__fit_heads__one_target_of_one_class__fails_alone(pretrained: Pretrained) -> None:
    good = _target(pretrained, Task.BINARY, name="good", num_train=40)
    hopeless = replace(good, name="hopeless", values=np.zeros(40, dtype=np.int64))
    first, second, third = _fit(pretrained, [hopeless, good, replace(hopeless, name="again")])
    assert isinstance(first, HeadFailure)
    assert (first.name, first.code) == ("hopeless", "one_class")
    assert isinstance(second, HeadResult)
    assert second.name == "good"
    assert isinstance(third, HeadFailure)
    assert third.name == "again"


_EMPTY = {"rows": np.empty(0, np.int64), "values": np.empty(0), "evaluation": np.empty(0, bool)}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        (_EMPTY, "no_labels"),
        ({"evaluation": np.ones(4, bool)}, "no_train_labels"),
        ({"evaluation": np.array([False, True, True, True])}, "too_few_labels"),
        ({"rows": np.array([0, 1, 1, 2])}, "duplicate_label"),
        ({"rows": np.array([0, 1, 2, 10**6])}, "invalid_labels"),
        ({"values": np.array([0.0, 1.0, np.nan, 2.0])}, "invalid_labels"),
        ({"values": np.array([0.0, 1.0, -1e200, 2.0])}, "value_out_of_range"),
        ({"values": np.arange(3.0)}, "invalid_labels"),
        ({"weights": np.zeros(4)}, "zero_weights"),
        ({"weights": np.array([1.0, -1.0, 1.0, 1.0])}, "invalid_weight"),
        ({"task": Task.BINARY, "classes": ("only",)}, "one_class"),
        ({"task": Task.BINARY, "classes": ("no", "yes")}, "invalid_labels"),
    ],
)
def test__fit_heads__labels_that_cannot_be_fitted__fail_with_their_code(
    pretrained: Pretrained, changes: dict[str, Any], code: str
) -> None:
    target = TargetData(
        name="spend",
        task=Task.REGRESSION,
        classes=None,
        view=NO_VIEW,
        rows=np.arange(4),
        values=np.array([0.0, 1.0, 3.0, 2.0]),
        evaluation=np.zeros(4, bool),
    )
    (failure,) = _fit(pretrained, [replace(target, **changes)])
    assert isinstance(failure, HeadFailure)
    assert (failure.name, failure.code) == ("spend", code)


def test__fit_heads__permuted_labels__no_head_claims_skill(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.BINARY, num_train=60)
    permuted = [
        replace(target, name=f"draw {seed}", values=np.random.default_rng(seed).permutation(target.values))
        for seed in range(8)
    ]
    found = [result for result in _fit(pretrained, permuted) if isinstance(result, HeadResult)]
    assert len(found) == len(permuted)
    # A 95 % interval of 8 draws: more than two misses, or more than one above chance, has a chance below 1 %.
    intervals = [result.metrics["auc"] for result in found]
    assert sum(not entry["low"] <= 0.5 <= entry["high"] for entry in intervals) <= 2
    assert sum(result.beats_constant for result in found) <= 1
    for result, entry in zip(found, intervals, strict=True):
        assert result.beats_constant == (entry["low"] > 0.5)
        assert ("not shown to be better than a constant" in result.verdict) != result.beats_constant


def test__fit_heads__column_seen_in_pretraining__judged_on_the_holdout_only(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.BINARY, num_holdout=220)
    found = _fit_one(pretrained, replace(target, seen_in_pretraining=True), baselines=True)
    assert [part.on for part in found.judged] == ["holdout"]
    assert {entry["on"] for entry in found.metrics.values()} == {"holdout"}
    assert {entry["on"] for rival in found.baselines.values() for entry in rival.values()} == {"holdout"}
    assert all(entry["n"] == 220 for entry in found.report["comparisons"].values())
    assert "(judged on 220 labels of the hold-out)" in found.verdict
    assert any("was a feature in pretraining" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("num_train", "words"),
    [(120, "(judged on 220 labels of the hold-out)"), (300, "(300 labels, out of fold)")],
)
def test__fit_heads__labels_on_both_sides__compared_where_there_are_more(
    pretrained: Pretrained, num_train: int, words: str
) -> None:
    target = _target(pretrained, Task.BINARY, num_train=num_train, num_holdout=220)
    found = _fit_one(pretrained, target, baselines=True)
    assert [part.on for part in found.judged] == ["out_of_fold", "holdout"]
    assert {entry["n"] for entry in found.report["comparisons"].values()} == {max(num_train, 220)}
    assert words in found.verdict


def test__fit_heads__seen_in_pretraining_without_holdout__cannot_be_judged_and_says_so(
    pretrained: Pretrained,
) -> None:
    target = _target(pretrained, Task.BINARY, num_train=40)
    found = _fit_one(pretrained, replace(target, seen_in_pretraining=True))
    assert found.judged == ()
    assert found.metrics["auc"]["value"] is None
    assert "was a feature in pretraining" in found.metrics["auc"]["reason"]
    assert not found.beats_constant
    assert "cannot be judged" in found.verdict


@pytest.mark.parametrize("num_per_class", [1, 2])
def test__fit_heads__a_label_or_two_per_class__a_head_without_claims(
    pretrained: Pretrained, num_per_class: int
) -> None:
    target = _target(pretrained, Task.BINARY, num_train=2 * num_per_class)
    values = np.arange(2 * num_per_class) % 2
    found = _fit_one(pretrained, replace(target, values=values), baselines=True)
    assert not found.beats_constant
    _check_finite(pretrained, found)
    json.dumps([found.metrics, found.baselines, found.report], allow_nan=False)


def test__fit_heads__every_column_absent__a_constant_head_without_baselines(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.BINARY, num_train=40, view=tuple(sorted(pretrained.frame.columns)))
    found = _fit_one(pretrained, target, baselines=True)
    assert found.baselines == {}
    assert not found.beats_constant


def test__fit_heads__weight_zero__as_if_the_label_was_not_there(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.BINARY, num_train=50)
    weights = np.ones(50)
    weights[40:] = 0.0
    with_zeros = _fit_one(pretrained, replace(target, weights=weights))
    without = _fit_one(pretrained, _target(pretrained, Task.BINARY, num_train=40))
    assert with_zeros.to_files() == without.to_files()


def test__fit_heads__column_that_gives_the_label_away__is_warned_of(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.BINARY, num_train=60)
    leaked = replace(target, values=pretrained.frame["warmth"].to_numpy()[:60].astype(np.int64))
    assert any("'warmth' alone" in warning for warning in _fit_one(pretrained, leaked).warnings)
    hidden = _fit_one(pretrained, replace(leaked, view=("colour", "price", "warmth")))
    assert hidden.warnings == []


@pytest.mark.parametrize("num_polls", [0, 1, 3, 8, 20])
def test__fit_heads__asked_to_stop__interrupted_at_the_next_poll(
    pretrained: Pretrained, num_polls: int
) -> None:
    polls: list[bool] = []

    def should_stop() -> bool:
        polls.append(len(polls) >= num_polls)
        return polls[-1]

    with pytest.raises(Interrupted):
        _fit(
            pretrained,
            [_target(pretrained, Task.BINARY, num_train=40)],
            should_stop=should_stop,
            baselines=True,
        )
    assert len(polls) == num_polls + 1


def test__fit_heads__huge_numbers__finite_head_and_metrics(pretrained: Pretrained) -> None:
    target = _target(pretrained, Task.REGRESSION, num_train=40)
    found = _fit_one(pretrained, replace(target, values=1e29 * target.values.astype(np.float64)))
    _check_finite(pretrained, found)
    assert found.metrics["r2"]["value"] == pytest.approx(
        _fit_one(pretrained, target).metrics["r2"]["value"], abs=0.01
    )
    json.dumps(found.metrics, allow_nan=False)


def test__fit_heads__no_targets__no_results(pretrained: Pretrained) -> None:
    assert _fit(pretrained, []) == []
