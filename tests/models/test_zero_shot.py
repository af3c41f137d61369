"""zero_shot: a pretrained column is predicted without labels, from everything but itself, bitwise, and judged honestly."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from models.bundle import EncoderBundle
from models.encoders import ColumnTransformerConfig
from models.errors import BundleError
from models.features.schema import Task
from models.heads import (
    HeadPrediction,
    LinearHead,
    LinearHeadConfig,
    ZeroShotHead,
    ZeroShotHeadConfig,
    load_head,
)
from models.heads.decision import ThresholdRule
from models.predictor import Predictor
from models.training.finetuning import HeadFailure, HeadResult, TargetData, fit_heads
from tests.models.conftest import pretrained_bundle
from tests.models.small_tables import COLOURS, mixed_frame

NUM_ROWS = 900
NUM_TRAIN = 600
CONFIG = ColumnTransformerConfig(d_model=16, num_layers=2)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return mixed_frame(NUM_ROWS)


@pytest.fixture(scope="module")
def bundle(frame: pl.DataFrame) -> EncoderBundle:
    return pretrained_bundle(frame[:NUM_TRAIN], config=CONFIG, num_steps=200)


def _target(
    frame: pl.DataFrame, column: str, *, forbidden: Sequence[str] = (), **changes: object
) -> TargetData:
    """The target of a column with all its values as labels, the last third of the rows in the evaluation part."""
    labels = frame[column]
    rows = np.flatnonzero(labels.is_not_null().to_numpy())
    task = {"colour": Task.MULTICLASS, "warmth": Task.BINARY}.get(column, Task.REGRESSION)
    classes = {"colour": COLOURS, "warmth": (False, True)}.get(column)
    known = labels.drop_nulls().to_list()
    values = (
        np.array(known, dtype=np.float64)
        if classes is None
        else np.array([classes.index(value) for value in known], dtype=np.int64)
    )
    target = TargetData(
        name=column,
        task=task,
        classes=classes,
        view=tuple(sorted({column, *forbidden})),
        rows=rows,
        values=values,
        evaluation=rows >= NUM_TRAIN,
        seen_in_pretraining=True,
        column=column,
    )
    return replace(target, **changes)  # type: ignore[arg-type]


def _guess(
    bundle: EncoderBundle, frame: pl.DataFrame, *targets: TargetData
) -> list[HeadResult | HeadFailure]:
    return fit_heads(bundle, frame, targets, ZeroShotHeadConfig(), seed=0, max_seconds=20.0)


@pytest.fixture(scope="module")
def results(bundle: EncoderBundle, frame: pl.DataFrame) -> dict[str, HeadResult]:
    found = _guess(bundle, frame, *(_target(frame, name) for name in ("colour", "warmth", "price")))
    return {result.name: result for result in found if isinstance(result, HeadResult)}


def _bytes(prediction: HeadPrediction) -> list[bytes]:
    fields = (prediction.probabilities, prediction.label_index, prediction.value, prediction.interval)
    filled = [field for field in fields if field is not None]
    return [b"".join(field[i].tobytes() for field in filled) for i in range(prediction.num_rows)]


def test__zero_shot__pretrained_columns__are_predicted_and_judged_on_the_hold_out_only(
    results: dict[str, HeadResult],
) -> None:
    assert set(results) == {"colour", "warmth", "price"}
    for result in results.values():
        assert [part.on for part in result.judged] == ["holdout"]
        assert result.beats_constant, result.metrics
        assert result.baselines == {}
        assert (result.report["num_fitted"], result.report["seen_in_pretraining"]) == (0, True)
        assert "Without any label" in result.verdict
    assert results["warmth"].metrics["auc"]["value"] > 0.95
    assert results["colour"].metrics["macro_auc"]["value"] > 0.9
    assert results["price"].metrics["r2"]["value"] > 0.3
    assert results["warmth"].report["score_quantiles"]["num_rows"] == NUM_ROWS


def test__zero_shot__train_labels_change_or_go__same_head(
    bundle: EncoderBundle, frame: pl.DataFrame, results: dict[str, HeadResult]
) -> None:
    target = _target(frame, "warmth")
    flipped = replace(target, values=np.where(target.evaluation, target.values, 1 - target.values))
    held_out = np.flatnonzero(target.evaluation)
    without = replace(
        target,
        rows=target.rows[held_out],
        values=target.values[held_out],
        evaluation=target.evaluation[held_out],
    )
    nothing = replace(
        target, rows=target.rows[:0], values=target.values[:0], evaluation=target.evaluation[:0]
    )
    expected = results["warmth"]
    for result in _guess(bundle, frame, flipped, without):
        assert isinstance(result, HeadResult)
        assert (result.head.to_files(), result.metrics) == (expected.head.to_files(), expected.metrics)
    (bare,) = _guess(bundle, frame, nothing)
    assert isinstance(bare, HeadResult)
    assert bare.head.to_files() == expected.head.to_files()
    assert not bare.beats_constant
    assert "cannot be judged" in bare.verdict


def test__zero_shot__own_or_forbidden_column_changes__same_bits(
    bundle: EncoderBundle, frame: pl.DataFrame
) -> None:
    (result,) = _guess(bundle, frame, _target(frame, "warmth", forbidden=["price"]))
    assert isinstance(result, HeadResult)
    predictor = Predictor(bundle)
    (before,) = predictor.predict(frame, [result.head]).predictions
    changed = frame.with_columns(warmth=~pl.col("warmth"), price=pl.lit(-3.0))
    for other in (changed, frame.drop("warmth", "price"), frame.with_columns(warmth=pl.lit("maybe"))):
        assert _bytes(predictor.predict(other, [result.head]).predictions[0]) == _bytes(before)
    recoloured = frame.with_columns(colour=frame["colour"].reverse())
    assert _bytes(predictor.predict(recoloured, [result.head]).predictions[0]) != _bytes(before)


def test__zero_shot__any_rows_in_any_company_saved_and_loaded__same_bits(
    bundle: EncoderBundle, frame: pl.DataFrame, results: dict[str, HeadResult]
) -> None:
    (linear,) = fit_heads(
        bundle,
        frame,
        [replace(_target(frame, "warmth"), view=("warmth",))],
        LinearHeadConfig(),
        seed=0,
        max_seconds=10.0,
        baselines=False,
    )
    assert isinstance(linear, HeadResult)
    assert isinstance(linear.head, LinearHead)
    heads = [result.head for result in results.values()]
    whole = [_bytes(found) for found in Predictor(bundle).predict(frame, heads).predictions]
    loaded = Predictor(EncoderBundle.from_files(bundle.to_files()))
    again = [load_head(head.to_files()) for head in heads]
    company = [again[2], linear.head, again[0], again[1], again[2]]
    for rows in ([5], [700, 5], list(range(33)), list(range(0, NUM_ROWS, 11))):
        found = loaded.predict(frame[rows], company).predictions
        for prediction, number in zip((found[0], *found[2:]), (2, 0, 1, 2), strict=True):
            assert _bytes(prediction) == [whole[number][row] for row in rows]
    for empty in (frame[:0], pl.DataFrame()):
        assert [p.num_rows for p in loaded.predict(empty, again).predictions] == [0, 0, 0]


def test__zero_shot__regression__interval_grows_with_coverage_and_holds_the_value(
    bundle: EncoderBundle, frame: pl.DataFrame, results: dict[str, HeadResult]
) -> None:
    predictor, head = Predictor(bundle), results["price"].head
    widths = []
    for coverage in (0.2, 0.5, 0.9, 0.99):
        (found,) = predictor.predict(frame, [head], coverage=coverage).predictions
        assert found.value is not None
        assert found.interval is not None
        assert bool((found.interval[:, 0] <= found.value).all())
        assert bool((found.value <= found.interval[:, 1]).all())
        widths.append(found.interval[:, 1] - found.interval[:, 0])
    assert all(bool((one <= other + 1e-9).all()) for one, other in itertools.pairwise(widths))
    (found,) = predictor.predict(frame, [head], coverage=0.9).predictions
    assert found.interval is not None
    prices = frame["price"].to_numpy()
    inside = (found.interval[:, 0] <= prices) & (prices <= found.interval[:, 1])
    assert inside[~np.isnan(prices)].mean() > 0.7


def test__zero_shot__classes_the_encoder_never_learned__get_nothing_and_it_is_said(
    bundle: EncoderBundle, frame: pl.DataFrame
) -> None:
    target = replace(_target(frame, "colour"), classes=("mauve", *COLOURS))
    (result,) = _guess(bundle, frame, replace(target, values=target.values + 1))
    assert isinstance(result, HeadResult)
    assert any("1 of 5 classes" in warning for warning in result.warnings)
    (found,) = Predictor(bundle).predict(frame[:20], [result.head]).predictions
    assert found.probabilities is not None
    assert bool((found.probabilities[:, 0] == 0.0).all())
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"column": None}, "not_pretrained_column"),
        ({"column": "no such column"}, "not_pretrained_column"),
        ({"task": Task.MULTICLASS, "classes": ("a", "b", "c", "d")}, "unknown_classes"),
        ({"task": Task.REGRESSION, "classes": None}, "task_mismatch"),
    ],
)
def test__zero_shot__target_the_encoder_has_no_guess_of__is_refused_alone(
    bundle: EncoderBundle, frame: pl.DataFrame, changes: dict[str, object], code: str
) -> None:
    wrong = replace(_target(frame, "colour"), **changes)  # type: ignore[arg-type]
    failed, fitted = _guess(bundle, frame, wrong, _target(frame, "warmth"))
    assert isinstance(failed, HeadFailure)
    assert failed.code == code
    assert isinstance(fitted, HeadResult)


def test__zero_shot__encoder_without_outputs__says_what_to_do(
    bundle: EncoderBundle, frame: pl.DataFrame
) -> None:
    files = {name: part for name, part in bundle.to_files().items() if name != "objectives.safetensors"}
    bare = EncoderBundle(
        codec=bundle.codec,
        config=bundle.config,
        encoder=bundle.encoder,
        schema=bundle.schema,
        report={},
        reference_codes=bundle.reference_codes,
    )
    assert set(bare.to_files()) == set(files)
    (failed,) = _guess(bare, frame, _target(frame, "warmth"))
    assert isinstance(failed, HeadFailure)
    assert failed.code == "no_column_guesses"
    assert "masked_columns" in failed.message


def test__zero_shot__head_of_another_encoder__does_not_fit(
    frame: pl.DataFrame, results: dict[str, HeadResult]
) -> None:
    other = pretrained_bundle(frame[:100], config=CONFIG, num_steps=1, seed=7)
    with pytest.raises(BundleError) as caught:
        Predictor(other).predict(frame[:1], [results["warmth"].head])
    assert caught.value.code == "head_does_not_fit"


def test__zero_shot__decision_rule__is_evaluated_on_the_hold_out(
    bundle: EncoderBundle, frame: pl.DataFrame
) -> None:
    rule = ThresholdRule(rule="threshold", threshold=0.4)
    (result,) = _guess(bundle, frame, _target(frame, "warmth", decision=rule))
    assert isinstance(result, HeadResult)
    assert set(result.report["decision_metrics"]["metrics"]) == {"holdout"}


def test__zero_shot__damaged_head_files__are_refused(results: dict[str, HeadResult]) -> None:
    head = results["price"].head
    assert isinstance(head, ZeroShotHead)
    for changed in (
        replace(head, view=()),
        replace(head, positions=head.positions[:-1]),
        replace(head, positions=head.positions * 0 - 1),
    ):
        with pytest.raises(BundleError):
            load_head(changed.to_files())
