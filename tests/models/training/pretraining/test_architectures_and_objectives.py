"""Every architecture with every choice of objectives: it resumes to the same bits, learns, reports, and takes any shape."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
import torch

from models.bundle import EncoderBundle
from models.encoders import ENCODERS, ColumnTransformerConfig, EncoderConfig, TabTransformerConfig
from models.errors import EncoderError, Interrupted
from models.features.schema import TableSchema
from models.objectives import OBJECTIVES, ObjectiveConfig
from models.progress import ShouldStop, never_stop, no_progress
from models.training.pretraining import pretrain
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame, plain_table
from tests.models.training.pretraining.interrupted_run import NUM_STEPS, run

SMALL: dict[str, EncoderConfig] = {
    config().kind: config(d_model=8, num_layers=1, num_heads=2, num_latents=4) for config in ENCODERS
}
BOTH: tuple[ObjectiveConfig, ...] = tuple(config() for config in OBJECTIVES)


def _pretrain(
    frame: pl.DataFrame,
    schema: TableSchema = MIXED_SCHEMA,
    *,
    architecture: EncoderConfig | None = None,
    objectives: Sequence[ObjectiveConfig] = BOTH,
    num_steps: int | None = 3,
) -> EncoderBundle:
    return pretrain(
        frame,
        schema,
        architecture=architecture or SMALL["column_transformer"],
        objectives=objectives,
        max_seconds=4.0,
        seed=0,
        checkpoint_dir=None,
        progress=no_progress,
        should_stop=never_stop,
        num_steps=num_steps,
    )


def _stop_after(calls: int) -> ShouldStop:
    counter = itertools.count(1)
    return lambda: next(counter) > calls


@pytest.mark.parametrize(
    ("kind", "objectives"),
    [(kind, BOTH) for kind in SMALL] + [("column_transformer", (objective,)) for objective in BOTH[1:]],
)
def test__resume__any_architecture_and_objectives__same_files(
    tmp_path: Path, kind: str, objectives: tuple[ObjectiveConfig, ...]
) -> None:
    architecture = SMALL[kind]
    expected = run(None, architecture=architecture, objectives=objectives)
    for steps in (0, 7):
        with pytest.raises(Interrupted):
            run(tmp_path, _stop_after(steps), 3600.0, architecture=architecture, objectives=objectives)
    found = run(tmp_path, architecture=architecture, objectives=objectives)
    assert (found.report["num_resumes"], found.report["num_steps"]) == (2, NUM_STEPS)
    for part in ("curve", "columns", "objectives", "held_out_loss"):
        assert found.report[part] == expected.report[part]
    names = {name for name in expected.to_files() if name.endswith(".safetensors")}
    assert all(found.to_files()[name] == expected.to_files()[name] for name in names)


def test__resume__other_objectives_than_the_checkpoint__starts_again(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, _stop_after(5), 3600.0, objectives=BOTH)
    assert run(tmp_path, objectives=BOTH[:1]).report["num_resumes"] == 0


@pytest.mark.parametrize(
    ("kind", "objectives"),
    [("column_transformer", BOTH), ("column_transformer", BOTH[1:]), ("tab_transformer", BOTH)],
)
def test__pretraining__structured_table__every_objective_gains(
    kind: str, objectives: tuple[ObjectiveConfig, ...]
) -> None:
    configs: dict[str, EncoderConfig] = {
        "column_transformer": ColumnTransformerConfig(d_model=16, num_layers=2),
        "tab_transformer": TabTransformerConfig(d_model=16, num_layers=2, num_heads=4),
    }
    bundle = _pretrain(mixed_frame(800), architecture=configs[kind], objectives=objectives, num_steps=100)
    report = bundle.report
    assert list(report["objectives"]) == [objective.kind for objective in objectives]
    for measured in report["objectives"].values():
        assert measured["after"] < measured["before"] - 0.02
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(report["columns"]) == {"colour", "warmth", "price", "noise"}
    is_guessing = any(objective.guesses_columns for objective in objectives)
    assert ("columns_note" in report) == (not is_guessing)
    assert (bundle.column_guesses is not None) == is_guessing
    if is_guessing:
        assert report["columns"]["warmth"]["explained"] > 0.05
    if len(objectives) == 2 or not is_guessing:
        assert report["columns"]["warmth"]["detection_auc"] > 0.6
        assert report["columns"]["noise"]["detection_auc"] < 0.75


def test__pretraining__two_objectives__each_weighs_by_what_it_starts_from() -> None:
    report = _pretrain(mixed_frame(300), num_steps=20).report
    for measured in report["objectives"].values():
        assert measured["weight"] == pytest.approx(1 / measured["before"], rel=2e-3)
    assert report["held_out_loss"]["before"] == pytest.approx(2.0)
    alone = _pretrain(mixed_frame(300), objectives=BOTH[:1], num_steps=20).report
    assert alone["objectives"]["masked_columns"]["weight"] == 1.0
    assert alone["held_out_loss"]["before"] == alone["objectives"]["masked_columns"]["before"]


@pytest.mark.parametrize(
    ("objectives", "code"), [((), "no_objectives"), ((BOTH[1], BOTH[1]), "duplicate_objective")]
)
def test__pretraining__none_or_two_of_a_kind__is_refused(
    objectives: tuple[ObjectiveConfig, ...], code: str
) -> None:
    with pytest.raises(EncoderError) as caught:
        _pretrain(mixed_frame(20), objectives=objectives)
    assert caught.value.code == code


def test__tab_transformer__only_numbers__is_refused_and_names_the_other() -> None:
    frame, schema = plain_table(0, 3, num_rows=30)
    with pytest.raises(EncoderError, match="column_transformer") as caught:
        _pretrain(frame, schema, architecture=SMALL["tab_transformer"])
    assert caught.value.code == "no_categorical_columns"


@pytest.mark.parametrize(
    ("shape", "num_rows"),
    [((6, 0), 200), ((0, 6), 200), ((3, 3), 20), ((3, 3), 2), ((3, 3), 1), ((100, 45), 40), ((200, 100), 24)],
)
@pytest.mark.parametrize("kind", SMALL)
def test__pretraining__any_shape_of_table__features_are_finite(
    kind: str, shape: tuple[int, int], num_rows: int
) -> None:
    if kind == "tab_transformer" and shape[0] == 0:
        return
    frame, schema = plain_table(*shape, num_rows=num_rows)
    bundle = _pretrain(frame, schema, architecture=SMALL[kind], num_steps=2)
    for view in ((), tuple(sorted(bundle.codec.names[:1])), tuple(sorted(bundle.codec.names))):
        assert bool(bundle.row_features.compute(bundle.reference_codes, view).isfinite().all())
    assert bundle.column_guesses is not None
    (found,) = bundle.column_guesses.compute(bundle.reference_codes, (), bundle.codec.names[-1:])
    assert bool(found.isfinite().all())
    json.dumps(bundle.report, allow_nan=False)


@pytest.mark.parametrize("kind", SMALL)
def test__pretraining__columns_without_content__works(kind: str) -> None:
    frame = mixed_frame(60).with_columns(
        price=pl.lit(None, dtype=pl.Float64), colour=pl.lit("red"), warmth=pl.lit(None, dtype=pl.Boolean)
    )
    bundle = _pretrain(frame, architecture=SMALL[kind], num_steps=8)
    assert bundle.report["columns"]["colour"]["detection_auc"] is None
    assert bool(bundle.row_features.compute(bundle.reference_codes, ()).isfinite().all())


def test__tab_transformer__wide_in_categories__mixes_through_latents() -> None:
    frame, schema = plain_table(30, 4, num_rows=40)
    config = TabTransformerConfig(d_model=8, num_layers=1, num_heads=2, num_latents=4, max_full_columns=8)
    bundle = _pretrain(frame, schema, architecture=config)
    assert bundle.encoder.num_context_tokens(range(34)) == 4 + 1
    assert bundle.row_features.compute(bundle.reference_codes, ()).shape[1] == bundle.row_features.width(())
    loaded = EncoderBundle.from_files(bundle.to_files())
    assert torch.equal(
        loaded.row_features.compute(bundle.reference_codes, ("c1",)),
        bundle.row_features.compute(bundle.reference_codes, ("c1",)),
    )


def test__pretraining__time_is_short_for_a_wide_table__fewer_looks_and_a_smaller_report() -> None:
    """A hundred columns in a second: what is not training is cut too, and the report still has every column."""
    frame, schema = plain_table(60, 40, num_rows=300)
    report = _pretrain(frame, schema, objectives=BOTH[:1], num_steps=None).report
    assert len(report["columns"]) == 100
    assert report["num_steps"] >= 1
    assert all("log_loss" in measures for measures in report["columns"].values())
