"""Pretraining: it learns, says what it learned, keeps to rows and time, and refuses what cannot work."""

from __future__ import annotations

import json
import time
from pathlib import Path

import polars as pl
import pytest
import torch

from models.bundle import MAX_REFERENCE_ROWS, EncoderBundle
from models.encoders import ColumnTransformerConfig
from models.errors import EncoderError, Interrupted
from models.features.schema import SPLIT_COLUMN, Role, TableSchema
from models.objectives import DEFAULT as OBJECTIVES
from models.progress import never_stop, no_progress
from models.training.pretraining import pretrain
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame, plain_table


def _pretrain(
    frame: pl.DataFrame,
    schema: TableSchema = MIXED_SCHEMA,
    *,
    num_steps: int | None = 3,
    seed: int = 0,
    max_seconds: float = 30.0,
    checkpoint_dir: Path | None = None,
    architecture: ColumnTransformerConfig = TINY,
) -> EncoderBundle:
    return pretrain(
        frame,
        schema,
        architecture=architecture,
        objectives=OBJECTIVES,
        max_seconds=max_seconds,
        seed=seed,
        checkpoint_dir=checkpoint_dir,
        progress=no_progress,
        should_stop=never_stop,
        num_steps=num_steps,
    )


@pytest.fixture(scope="module")
def trained() -> EncoderBundle:
    return _pretrain(
        mixed_frame(1200), num_steps=160, architecture=ColumnTransformerConfig(d_model=16, num_layers=2)
    )


def test__pretraining__structured_table__held_out_loss_falls(trained: EncoderBundle) -> None:
    loss = trained.report["held_out_loss"]
    assert loss["after"] < loss["before"] - 0.2
    assert trained.report["num_held_out_rows"] == 60
    assert trained.report["curve"][0] == {"step": 0, "held_out_loss": loss["before"]}


def test__pretraining__report__says_which_columns_the_others_predict(trained: EncoderBundle) -> None:
    columns = trained.report["columns"]
    assert list(columns) == ["colour", "warmth", "price", "noise"]
    assert columns["warmth"]["accuracy"] > 0.95 > 0.7 > columns["warmth"]["marginal_accuracy"]
    assert columns["warmth"]["explained"] > 0.7
    assert columns["price"]["r2"] > 0.5
    assert columns["noise"]["explained"] < 0.1
    assert columns["noise"]["r2"] < 0.2


def test__pretraining__report_and_files__are_plain_json(trained: EncoderBundle) -> None:
    assert json.loads(json.dumps(trained.report, allow_nan=False)) == trained.report


def test__pretraining__same_seed__same_weights_other_seed_others() -> None:
    frame = mixed_frame(80)
    first, again, other = (_pretrain(frame, seed=seed).to_files() for seed in (1, 1, 2))
    assert first["weights.safetensors"] == again["weights.safetensors"]
    assert first["weights.safetensors"] != other["weights.safetensors"]


def test__pretraining__global_random_state_and_threads__untouched() -> None:
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    _pretrain(mixed_frame(50))
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test__pretraining__evaluation_rows_and_targets__change_nothing() -> None:
    schema = TableSchema(
        columns=tuple(
            column.model_copy(update={"role": Role.TARGET}) if column.name == "warmth" else column
            for column in MIXED_SCHEMA.columns
        )
    )
    split = pl.Series(SPLIT_COLUMN, ["train"] * 60 + ["evaluation"] * 40)
    frame = mixed_frame(100).with_columns(split)
    other = frame.with_columns(
        price=pl.when(pl.col(SPLIT_COLUMN) == "evaluation").then(-1e9).otherwise("price"),
        warmth=~pl.col("warmth"),
    )
    assert (
        _pretrain(frame, schema).to_files()["weights.safetensors"]
        == (_pretrain(other, schema).to_files()["weights.safetensors"])
    )


def test__pretraining__reference_rows__a_fixed_sample_of_training_rows() -> None:
    frame = mixed_frame(MAX_REFERENCE_ROWS + 500)
    bundle = _pretrain(frame, num_steps=1)
    assert len(bundle.reference_codes) == MAX_REFERENCE_ROWS
    rows = {tuple(row) for row in bundle.codec.transform(frame).index.tolist()}
    assert {tuple(row) for row in bundle.reference_codes.index.tolist()} <= rows


@pytest.mark.parametrize("shape", [(3, 0), (0, 3), (1, 0), (0, 1), (12, 12)])
def test__pretraining__only_some_kinds_of_columns__works(shape: tuple[int, int]) -> None:
    frame, schema = plain_table(*shape, num_rows=40)
    bundle = _pretrain(frame, schema)
    assert set(bundle.report["columns"]) == set(frame.columns)


@pytest.mark.parametrize("num_rows", [1, 2, 5])
def test__pretraining__hardly_any_rows__works(num_rows: int) -> None:
    bundle = _pretrain(mixed_frame(num_rows))
    assert bundle.row_features.compute(bundle.reference_codes, ()).isfinite().all()


def test__pretraining__column_all_null_or_constant__works() -> None:
    frame = mixed_frame(60).with_columns(price=pl.lit(None, dtype=pl.Float64), colour=pl.lit("red"))
    columns = _pretrain(frame).report["columns"]
    assert columns["price"]["explained"] is None
    assert columns["colour"]["explained"] is None


def test__pretraining__time_limit__small_table_stops_early_by_itself() -> None:
    started = time.monotonic()
    report = _pretrain(mixed_frame(60), num_steps=None, max_seconds=3.0).report
    assert time.monotonic() - started < 30
    assert report["num_steps"] * report["batch_rows"] <= 100 * 60 + report["batch_rows"]
    assert report["stopped_by"] in {"steps", "held_out_loss", "time"}


def test__pretraining__only_noise__stops_when_held_out_rows_gain_nothing() -> None:
    frame, schema = plain_table(0, 2, num_rows=40)
    report = _pretrain(frame, schema, num_steps=400).report
    assert report["stopped_by"] == "held_out_loss"
    assert report["num_steps"] < 400
    assert report["best_step"] < report["num_steps"]


def test__pretraining__nothing_to_encode__is_refused() -> None:
    schema = TableSchema(
        columns=tuple(c.model_copy(update={"role": Role.TARGET}) for c in MIXED_SCHEMA.columns)
    )
    with pytest.raises(EncoderError) as caught:
        _pretrain(mixed_frame(10), schema)
    assert caught.value.code == "no_encoded_columns"


def test__pretraining__no_training_rows__is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        _pretrain(mixed_frame(10).with_columns(pl.lit("evaluation").alias(SPLIT_COLUMN)))
    assert caught.value.code == "no_training_rows"


def test__pretraining__no_objective__is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        pretrain(
            mixed_frame(10),
            MIXED_SCHEMA,
            architecture=TINY,
            objectives=(),
            max_seconds=1.0,
            seed=0,
            checkpoint_dir=None,
            progress=no_progress,
            should_stop=never_stop,
        )
    assert caught.value.code == "no_objectives"


def test__pretraining__asked_to_stop_before_the_first_step__interrupted() -> None:
    with pytest.raises(Interrupted):
        pretrain(
            mixed_frame(50),
            MIXED_SCHEMA,
            architecture=TINY,
            objectives=OBJECTIVES,
            max_seconds=5.0,
            seed=0,
            checkpoint_dir=None,
            progress=no_progress,
            should_stop=lambda: True,
        )
