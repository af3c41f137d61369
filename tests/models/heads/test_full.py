"""Encoder and head trained together: what is learned, when the encoder is left alone, and what time there is for."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

from models.bundle import EncoderBundle
from models.encoders.tuning import TunableEncoder, trainable_copy, tuning_depth, with_weights
from models.errors import BundleError, InputError, Interrupted
from models.features.column_values import ColumnValues
from models.features.schema import Task
from models.fingerprint import encoder_fingerprint
from models.heads import FullHead, load_head
from models.heads.auto import AutoHeadConfig
from models.heads.blend_head import BlendHead
from models.heads.blending import is_real_gain
from models.heads.cross_fitting import TooSlow
from models.heads.files import pack, unpack
from models.heads.folds import divide
from models.heads.full import FullHeadConfig
from models.heads.linear import LinearHeadConfig
from models.heads.losses import mean_loss
from models.heads.problem import HeadFit, HeadProblem, Pace
from models.predictor import Predictor
from models.training.finetuning import HeadResult, TargetData, fit_heads
from models.training.view_features import ViewSample
from tests.models.conftest import Pretrained, pretrained_bundle
from tests.models.small_problems import class_names, small_problem
from tests.models.small_tables import mixed_frame

NUM_ROWS = 600


@cache
def _bundle() -> tuple[EncoderBundle, pl.DataFrame]:
    frame = mixed_frame(NUM_ROWS, seed=3)
    return pretrained_bundle(frame, num_steps=5), frame


def _problem(task: Task, *, is_learnable: bool = True, view: tuple[str, ...] = ()) -> HeadProblem:
    """Labels of an interaction of two columns, which no linear head of raw features finds; or of nothing."""
    bundle, frame = _bundle()
    rng = np.random.default_rng(1)
    is_even = (frame["noise"].to_numpy() > 500) ^ frame["warmth"].to_numpy().astype(bool)
    score = 3.0 * is_even + 0.3 * rng.normal(size=NUM_ROWS)
    if not is_learnable:
        score = rng.normal(size=NUM_ROWS)
    labels = {
        Task.REGRESSION: 50.0 + 20.0 * score,
        Task.BINARY: (score > np.median(score)).astype(np.float64),
        Task.MULTICLASS: np.digitize(score, np.quantile(score, [0.33, 0.66])).astype(np.float64),
    }[task]
    codes = bundle.codec.transform(frame)
    return HeadProblem(
        task=task,
        classes=class_names(task, 2 if task is Task.BINARY else 3),
        view=view,
        encoder_fingerprint=encoder_fingerprint(bundle),
        features=bundle.row_features.compute(codes, view),
        columns=ColumnValues.of(codes, bundle.codec, view),
        scaling=ViewSample.of(bundle, view).scaling,
        labels=labels,
        weights=np.ones(NUM_ROWS),
        folds=divide(labels, task, generator=np.random.default_rng(0)),
        tunable=TunableEncoder.of(bundle.codec, bundle.encoder, codes, view),
    )


@cache
def _fit(task: Task) -> tuple[HeadProblem, HeadFit]:
    problem = _problem(task)
    return problem, FullHeadConfig().fit(problem)


def _loss(problem: HeadProblem, fit: HeadFit) -> float:
    assert problem.folds is not None
    assert fit.scores is not None
    rows = problem.folds.rows
    return mean_loss(problem.task, fit.scores, problem.labels[rows], problem.weights[rows])


@pytest.mark.parametrize("task", list(Task))
def test__full__effect_that_the_encoder_did_not_know__beats_the_linear_head(task: Task) -> None:
    problem, fit = _fit(task)
    assert fit.head.kind == "full"
    assert _loss(problem, fit) < 0.97 * _loss(problem, LinearHeadConfig().fit(problem))
    bundle, frame = _bundle()
    (found,) = Predictor(bundle).predict(frame, [fit.head]).predictions
    assert fit.out_of_fold is not None
    served, judged = found.outputs, fit.out_of_fold
    correlation = np.corrcoef(served.reshape(NUM_ROWS, -1)[:, 0], judged.reshape(NUM_ROWS, -1)[:, 0])
    assert correlation[0, 1] > 0.5


def test__full__fitted__the_encoder_it_started_from_is_untouched() -> None:
    bundle, _ = _bundle()
    _fit(Task.BINARY)
    assert encoder_fingerprint(bundle) == _problem(Task.BINARY).encoder_fingerprint
    assert not any(parameter.requires_grad for parameter in bundle.encoder.parameters())
    _, frame = _bundle()
    fresh = bundle.row_features.compute(bundle.codec.transform(frame), ())
    assert torch.equal(fresh, _problem(Task.BINARY).features)


def test__full__saved_and_loaded__predicts_the_same_bits() -> None:
    bundle, frame = _bundle()
    _, fit = _fit(Task.MULTICLASS)
    one, other = Predictor(bundle).predict(frame, [fit.head, load_head(fit.head.to_files())]).predictions
    assert np.array_equal(one.outputs, other.outputs)


@pytest.mark.parametrize("task", list(Task))
def test__full__labels_of_nothing__gives_the_linear_head_and_says_so(task: Task) -> None:
    problem = _problem(task, is_learnable=False)
    fit = FullHeadConfig().fit(problem)
    if fit.head.kind == "linear":  # noise may look like a gain, by chance and by little
        assert fit.head.to_files() == LinearHeadConfig().fit(problem).head.to_files()
        assert "left as it is" in fit.warnings[-1]
    else:
        assert _loss(problem, fit) > 0.97 * _loss(problem, LinearHeadConfig().fit(problem))


def test__full__no_time__gives_the_linear_head_and_says_so() -> None:
    problem = replace(_problem(Task.BINARY), pace=Pace(deadline=0.0))
    fit = FullHeadConfig().fit(problem)
    assert fit.head.kind == "linear"
    assert "time is short" in fit.warnings[-1]


def test__full__slower_than_the_timed_steps_promised__gives_the_linear_head_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.heads.full.cross_fit", lambda *args, **options: TooSlow(9.0))
    fit = FullHeadConfig().fit(_problem(Task.BINARY))
    assert fit.head.kind == "linear"
    assert "time is short" in fit.warnings[-1]


def test__full__stopped_while_tuning__is_interrupted() -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 40

    with pytest.raises(Interrupted):
        FullHeadConfig().fit(replace(_problem(Task.BINARY), pace=Pace(should_stop=should_stop)))


def test__full__no_encoder_to_tune__is_refused() -> None:
    with pytest.raises(InputError) as caught:
        FullHeadConfig().fit(replace(small_problem(Task.BINARY), tunable=None))
    assert caught.value.code == "no_encoder_to_tune"


def test__full__no_columns_at_all__is_the_linear_head() -> None:
    problem = _problem(Task.BINARY, view=("colour", "noise", "price", "warmth"))
    fit = FullHeadConfig().fit(problem)
    assert fit.head.kind in ("linear", "full")
    assert fit.out_of_fold is not None
    assert bool(np.isfinite(fit.out_of_fold).all())


def test__full_head__files_without_encoder_or_of_another_width__are_refused() -> None:
    head = _fit(Task.MULTICLASS)[1].head
    assert isinstance(head, FullHead)
    parts = unpack(head.to_files())
    header = {name: value for name, value in parts.header.items() if not name.startswith("format")}
    kind = header.pop("kind")
    bare = {name: tensor for name, tensor in parts.tensors.items() if not name.startswith("encoder.")}
    short = parts.tensors | {"bias": torch.zeros(2)}
    broken = parts.tensors | {"encoder.cls": torch.full((8,), float("nan"))}
    for tensors in (bare, short, broken):
        with pytest.raises(BundleError):
            load_head(pack(kind, header, tensors))


def test__auto__many_labels_and_an_effect_to_learn__a_tuned_member_only_where_it_is_a_real_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem, tuned = _fit(Task.BINARY)
    monkeypatch.setattr("models.heads.auto.MIN_TUNED_LABELS", 500)
    monkeypatch.setattr("models.heads.auto.tune", lambda problem, linear: tuned)  # fitted above already
    fit = AutoHeadConfig().fit(problem)
    kinds = (
        {member.kind for member in fit.head.members} if isinstance(fit.head, BlendHead) else {fit.head.kind}
    )
    without = AutoHeadConfig().fit(replace(problem, tunable=None))
    assert tuned.head.kind == "full"
    if "full" in kinds:
        assert _loss(problem, fit) < _loss(problem, without)
    else:
        assert fit.head.to_files() == without.head.to_files()
        assert "not_tuned" in fit.report


def test__is_real_gain__same_scores_or_noise__is_none() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500).astype(np.float64)
    weights = np.ones(500)
    less = rng.normal(size=(500, 1))
    assert not is_real_gain(Task.BINARY, less, less, labels, weights)
    assert not is_real_gain(Task.BINARY, less, rng.normal(size=(500, 1)), labels, weights)
    better = less + (labels[:, None] - 0.5)
    assert is_real_gain(Task.BINARY, less, better, labels, weights)
    assert not is_real_gain(Task.BINARY, better, less, labels, weights)


def test__trainable_copy__moved_weights__change_its_table_and_not_the_frozen_one(
    pretrained: Pretrained,
) -> None:
    frozen = pretrained.bundle.encoder
    before = {name: tensor.clone() for name, tensor in frozen.state_dict().items()}
    copied = trainable_copy(frozen)
    codes = pretrained.bundle.codec.transform(pretrained.frame[:20])
    columns = torch.arange(codes.index.shape[1])
    with torch.no_grad():
        was = copied(codes.index, codes.fraction, columns).tokens.clone()
        for parameter in copied.parameters():
            parameter.mul_(1.5)
        moved = copied(codes.index, codes.fraction, columns).tokens
    assert not torch.allclose(was, moved)
    assert all(torch.equal(before[name], tensor) for name, tensor in frozen.state_dict().items())
    again = with_weights(frozen, copied.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(again(codes.index, codes.fraction, columns).tokens, moved)


def test__tuning_depth__weights_near_the_output__move_most() -> None:
    names = [
        "norm.weight",
        "row.expand.weight",
        "blocks.2.attention.query.weight",
        "blocks.0.x",
        "values.weight",
    ]
    assert [tuning_depth(name, 3) for name in names] == [0, 0, 0, 2, 3]


def test__fit_heads__full__is_judged_like_any_head_and_says_what_was_cut() -> None:
    bundle, frame = _bundle()
    problem = _problem(Task.BINARY)
    target = TargetData(
        name="even",
        task=Task.BINARY,
        classes=problem.classes,
        view=(),
        rows=np.arange(NUM_ROWS),
        values=problem.labels.astype(np.int64),
        evaluation=np.arange(NUM_ROWS) >= 500,
    )
    (result,) = fit_heads(
        bundle, frame, [target], FullHeadConfig(), seed=0, max_seconds=6.0, baselines=False, importance=False
    )
    assert isinstance(result, HeadResult)
    assert result.head.kind in ("linear", "full")  # in six seconds, whichever there is time for
    assert result.metrics
    words = " ".join(result.warnings)
    assert ("left as it is" in words) == (result.head.kind == "linear")
