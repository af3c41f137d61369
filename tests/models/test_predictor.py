"""Predictions: the bitwise rule, absent columns, heads of another encoder, and nothing lost by saving."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundle import EncoderBundle
from models.encoders import ColumnTransformerConfig
from models.errors import BundleError, InputError
from models.features.schema import JsonScalar, Task
from models.fingerprint import encoder_fingerprint
from models.heads import FullHead, HeadPrediction, LinearHead, load_head
from models.heads.calibration import Calibration
from models.heads.finishing import Finishing
from models.heads.intervals import ResidualTable
from models.heads.prediction import TunedEncoderPass
from models.heads.sets import ClassSets, ScoreTable
from models.predictor import CHUNK_ROWS, MAX_STACKS, MAX_TUNED, PredictionBatch, Predictor
from tests.models.conftest import pretrained_bundle
from tests.models.small_tables import TINY, mixed_frame

NUM_ROWS = 400
VIEWS: tuple[tuple[str, ...], ...] = (
    (),
    ("warmth",),
    ("colour", "warmth"),
    ("colour", "noise", "price", "warmth"),
)
CONFIGS = {"tiny": TINY, "default": ColumnTransformerConfig()}


@dataclass(frozen=True)
class Served:
    """An encoder with heads of random weights in every view: nothing about the rule needs good ones."""

    bundle: EncoderBundle
    frame: pl.DataFrame
    heads: tuple[
        LinearHead | FullHead, ...
    ]  # three linear ones per view, then one with an encoder of its own per view
    predictor: Predictor
    alone: tuple[list[bytes], ...]  # per head, the bytes of each row's prediction with the head alone


def _random_heads(bundle: EncoderBundle, seed: int = 0) -> tuple[LinearHead | FullHead, ...]:
    """Per view a binary head, one of 19 classes (more than a pad), a regression with intervals, and a tuned encoder."""
    generator = torch.Generator().manual_seed(seed)
    fingerprint = encoder_fingerprint(bundle)
    heads = []
    for view in VIEWS:
        width = bundle.row_features.width(view)
        kinds: list[tuple[Task, tuple[JsonScalar, ...] | None, int]] = [
            (Task.BINARY, ("no", "yes"), 1),
            (Task.MULTICLASS, tuple(f"class {i}" for i in range(19)), 19),
            (Task.REGRESSION, None, 1),
        ]
        for task, classes, num_outputs in kinds:
            residuals = np.linspace(-1.0, 1.5, 40)
            heads.append(
                LinearHead(
                    task,
                    classes,
                    view,
                    fingerprint,
                    torch.randn(num_outputs, width, generator=generator),
                    torch.randn(num_outputs, generator=generator),
                    Finishing(intervals=ResidualTable.fit(residuals, np.ones(40)))
                    if task is Task.REGRESSION
                    else Finishing(Calibration(1.3, (0.1,) * num_outputs), sets=_sets(num_outputs)),
                )
            )
    return (*heads, *(_tuned_head(bundle, view, generator) for view in VIEWS))


def _tuned_head(bundle: EncoderBundle, view: tuple[str, ...], generator: torch.Generator) -> FullHead:
    """Of 19 classes, on an encoder that is a little other than the bundle's."""
    encoder = {
        name: tensor + 0.05 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in bundle.encoder.state_dict().items()
    }
    width = bundle.row_features.width(view)
    weight, bias = torch.randn(19, width, generator=generator), torch.randn(19, generator=generator)
    return FullHead(
        Task.MULTICLASS,
        tuple(f"class {i}" for i in range(19)),
        view,
        encoder_fingerprint(bundle),
        TunedEncoderPass(encoder, weight, bias),
        Finishing(Calibration(1.3, (0.1,) * 19), sets=_sets(19)),
    )


def _sets(num_outputs: int) -> ClassSets:
    """Of evenly spread probabilities, so that sets hold some classes and not others."""
    num_classes = max(num_outputs, 2)
    table = ScoreTable.fit(np.linspace(0.0, 2.0 / num_classes, 40), np.ones(40))
    return ClassSets((table,), (0,) * num_classes)


def _rows_of(prediction: HeadPrediction) -> list[bytes]:
    """Everything said about each row, as bytes."""
    fields = (
        prediction.probabilities,
        prediction.label_index,
        prediction.value,
        prediction.interval,
        prediction.in_set,
    )
    filled = [field for field in fields if field is not None]
    return [b"".join(field[i].tobytes() for field in filled) for i in range(prediction.num_rows)]


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture(scope="module", params=list(CONFIGS))
def served(request: pytest.FixtureRequest) -> Served:
    frame = mixed_frame(NUM_ROWS)
    bundle = pretrained_bundle(frame, config=CONFIGS[request.param], num_steps=3)
    heads = _random_heads(bundle)
    predictor = Predictor(bundle)
    with _threads(1):
        alone = tuple(_rows_of(predictor.predict(frame, [head]).predictions[0]) for head in heads)
    return Served(bundle, frame, heads, predictor, alone)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.integers(0, NUM_ROWS - 1), min_size=1, max_size=40),
    company=st.lists(st.integers(0, 4 * len(VIEWS) - 1), min_size=1, max_size=3 * len(VIEWS)),
    num_threads=st.sampled_from([1, 4]),
)
def test__predict__any_batch_in_any_company__bitwise_as_alone(
    served: Served, rows: list[int], company: list[int], num_threads: int
) -> None:
    with _threads(num_threads):
        found = served.predictor.predict(served.frame[rows], [served.heads[i] for i in company])
    for position, prediction in zip(company, found.predictions, strict=True):
        assert _rows_of(prediction) == [served.alone[position][row] for row in rows]


@settings(max_examples=6, deadline=None)
@given(row=st.integers(0, NUM_ROWS - 1), num_threads=st.sampled_from([1, 4]))
def test__predict__row_alone__bitwise_as_among_all(served: Served, row: int, num_threads: int) -> None:
    with _threads(num_threads):
        found = served.predictor.predict(served.frame[[row]], served.heads)
    for prediction, alone in zip(found.predictions, served.alone, strict=True):
        assert _rows_of(prediction) == [alone[row]]


@pytest.mark.parametrize("num_rows", [CHUNK_ROWS, CHUNK_ROWS + 1])
def test__predict__batch_around_a_chunk__bitwise_as_alone(served: Served, num_rows: int) -> None:
    rows = np.arange(num_rows) % NUM_ROWS
    for position in (0, 4, 13):
        (found,) = served.predictor.predict(served.frame[rows], [served.heads[position]]).predictions
        assert _rows_of(found) == [served.alone[position][row] for row in rows]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dropped=st.booleans())
def test__predict__absent_columns_changed__bitwise_the_same(served: Served, seed: int, dropped: bool) -> None:
    rng = np.random.default_rng(seed)
    other = mixed_frame(NUM_ROWS, seed=seed).with_columns(
        colour=pl.Series(rng.choice(np.array(["red", "never seen", "blue"]), NUM_ROWS)),
        noise=pl.Series(rng.integers(-(10**9), 10**9, NUM_ROWS)),
    )
    rows = np.arange(0, NUM_ROWS, 7)
    for position, head in enumerate(served.heads):
        absent = list(head.view)
        changed = served.frame.drop(absent) if dropped else served.frame.with_columns(other.select(absent))
        (found,) = served.predictor.predict(changed[rows], [head]).predictions
        assert _rows_of(found) == [served.alone[position][row] for row in rows]


def test__predict__present_column_changed__something_changes(served: Served) -> None:
    """The rule above would also hold if nothing mattered."""
    changed = served.frame.with_columns(price=pl.lit(-50.0))
    for position, head in enumerate(served.heads):
        if "price" not in head.view:
            (found,) = served.predictor.predict(changed, [head]).predictions
            assert _rows_of(found) != served.alone[position]


def test__predict__many_threads_at_once__bitwise_as_alone(served: Served) -> None:
    predictor = Predictor(served.bundle)

    def ask(first: int) -> PredictionBatch:
        return predictor.predict(served.frame[first : first + 20], served.heads)

    firsts = list(range(0, NUM_ROWS, 20))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, firsts))
    for first, answer in zip(firsts, answers, strict=True):
        for prediction, alone in zip(answer.predictions, served.alone, strict=True):
            assert _rows_of(prediction) == alone[first : first + 20]


def test__predict__more_companies_than_are_kept__still_the_same(served: Served) -> None:
    rng = np.random.default_rng(0)
    for _ in range(MAX_STACKS + 2):
        company = rng.permutation(3)  # heads of one view
        heads = [
            LinearHead.from_files(served.heads[i].to_files()) for i in company
        ]  # new objects, equal heads
        found = served.predictor.predict(served.frame[:2], heads)
        for position, prediction in zip(company, found.predictions, strict=True):
            assert _rows_of(prediction) == served.alone[position][:2]


def test__predict__saved_and_loaded_bundle_and_heads__bitwise_the_same(served: Served) -> None:
    predictor = Predictor(EncoderBundle.from_files(served.bundle.to_files()))
    heads = [load_head(head.to_files()) for head in served.heads]
    for prediction, alone in zip(
        predictor.predict(served.frame, heads).predictions, served.alone, strict=True
    ):
        assert _rows_of(prediction) == alone


def test__predict__empty_frame__empty_predictions(served: Served) -> None:
    for frame in (served.frame[:0], pl.DataFrame()):
        found = served.predictor.predict(frame, served.heads)
        assert [prediction.num_rows for prediction in found.predictions] == [0] * len(served.heads)
    assert found.predictions[1].probabilities is not None
    assert found.predictions[1].probabilities.shape == (0, 19)
    assert found.predictions[2].interval is not None
    assert found.predictions[2].interval.shape == (0, 2)


def test__predict__no_heads__counts_only(served: Served) -> None:
    frame = served.frame.with_columns(colour=pl.Series(["never seen"] * 3 + ["red"] * (NUM_ROWS - 3)))
    found = served.predictor.predict(frame.drop("noise"), [])
    assert found.predictions == []
    assert found.missing["noise"] == NUM_ROWS
    assert found.missing["price"] == served.frame["price"].null_count()
    assert found.unseen["colour"] == 3


def test__predict__any_head__probabilities_sum_to_one_and_intervals_hold_the_coverage(
    served: Served,
) -> None:
    narrow = served.predictor.predict(served.frame, served.heads, coverage=0.5)
    wide = served.predictor.predict(served.frame, served.heads, coverage=0.9)
    for head, less, more in zip(served.heads, narrow.predictions, wide.predictions, strict=True):
        if head.task is Task.REGRESSION:
            assert less.interval is not None
            assert more.interval is not None
            assert (more.interval[:, 0] <= less.interval[:, 0]).all()
            assert (more.interval[:, 1] >= less.interval[:, 1]).all()
        else:
            assert more.probabilities is not None
            assert more.label_index is not None
            np.testing.assert_allclose(more.probabilities.sum(axis=1), 1.0)
            assert (more.probabilities.argmax(axis=1) == more.label_index).all()


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, float("nan")])
def test__predict__impossible_coverage__is_refused(served: Served, coverage: float) -> None:
    with pytest.raises(InputError) as caught:
        served.predictor.predict(served.frame[:1], served.heads[:1], coverage=coverage)
    assert caught.value.code == "invalid_coverage"


def test__predict__head_of_another_encoder__does_not_fit(served: Served) -> None:
    other = Predictor(pretrained_bundle(served.frame, config=served.bundle.config, num_steps=3, seed=1))
    for head in served.heads:
        with pytest.raises(BundleError) as caught:
            other.predict(served.frame[:1], [head])
        assert caught.value.code == "head_does_not_fit"


def test__predict__head_of_another_width__does_not_fit_and_spoils_nothing(served: Served) -> None:
    head = served.heads[0]
    assert isinstance(head, LinearHead)
    wrong = LinearHead(
        head.task, head.classes, head.view, head.encoder_fingerprint, head.weight[:, 1:], head.bias
    )
    with pytest.raises(BundleError) as caught:
        served.predictor.predict(served.frame[:1], [head, wrong])
    assert caught.value.code == "head_does_not_fit"
    (found,) = served.predictor.predict(served.frame, [head]).predictions
    assert _rows_of(found) == served.alone[0]


def test__predict__tuned_encoders__more_than_are_kept__still_the_same(served: Served) -> None:
    head = served.heads[-1]
    predictor = Predictor(served.bundle)
    loaded = [load_head(head.to_files()) for _ in range(MAX_TUNED + 1)]
    for other in (*loaded, loaded[0]):
        (found,) = predictor.predict(served.frame[:1], [other]).predictions
        assert _rows_of(found) == served.alone[-1][:1]


def test__predict__tuned_encoder__says_other_things_than_the_bundles(served: Served) -> None:
    head = served.heads[-1]
    assert isinstance(head, FullHead)
    plain = LinearHead(
        head.task,
        head.classes,
        head.view,
        head.encoder_fingerprint,
        head.tuned.weight,
        head.tuned.bias,
        head.finishing,
    )
    (found,) = served.predictor.predict(served.frame, [plain]).predictions
    assert _rows_of(found) != served.alone[-1]


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape", "width"])
def test__predict__tuned_encoder_of_another_architecture__does_not_fit(served: Served, damage: str) -> None:
    head = served.heads[-1]
    assert isinstance(head, FullHead)
    encoder, weight = dict(head.tuned.encoder), head.tuned.weight
    first = next(iter(encoder))
    if damage == "missing":
        del encoder[first]
    elif damage == "unknown":
        encoder["other"] = torch.zeros(1)
    elif damage == "shape":
        encoder[first] = torch.zeros(1, 2, 3)
    else:
        weight = weight[:, 1:]
    wrong = replace(head, tuned=TunedEncoderPass(encoder, weight, head.tuned.bias))
    with pytest.raises(BundleError) as caught:
        served.predictor.predict(served.frame[:1], [wrong])
    assert caught.value.code == "head_does_not_fit"
    (found,) = served.predictor.predict(served.frame, [head]).predictions
    assert _rows_of(found) == served.alone[-1]
