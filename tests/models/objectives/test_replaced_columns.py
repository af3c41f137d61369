"""Replaced columns: what is replaced differs, comes from the column's marginal, sources move together, draws repeat."""

from __future__ import annotations

import polars as pl
import pytest
import torch
from pydantic import ValidationError

from models.features.codec import Codec
from models.objectives import ReplacedColumns, ReplacedColumnsConfig
from models.objectives.replaced_columns import _auc
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _built(frame: pl.DataFrame, rate: float = 0.3) -> tuple[Codec, ReplacedColumns]:
    codec = Codec.fit(frame, MIXED_SCHEMA)
    return codec, ReplacedColumns(codec, 8, ReplacedColumnsConfig(rate=rate), generator=_generator())


def test__replaced_columns__replacements__are_other_values_of_the_same_column_at_the_rate() -> None:
    frame = mixed_frame(400)
    codec, objective = _built(frame)
    codes = codec.transform(frame)
    shown, fraction, is_replaced = objective._replace(codes.index, codes.fraction, generator=_generator(1))
    same = (shown == codes.index) & (fraction == codes.fraction)
    assert torch.equal(is_replaced, ~same)
    upper = torch.cat([codec.offsets[1:], torch.tensor([codec.num_embeddings])])
    assert bool(((shown >= codec.offsets) & (shown < upper)).all())
    shares = is_replaced.float().mean(0)
    # Of four equally frequent colours three in four differ; of prices nearly all.
    assert 0.17 < float(shares[codec.names.index("colour")]) < 0.28
    assert 0.25 < float(shares[codec.names.index("noise")]) < 0.35
    again = objective._replace(codes.index, codes.fraction, generator=_generator(2))[0]
    assert not torch.equal(shown, again)


def test__replaced_columns__columns_of_one_source__are_replaced_from_one_row() -> None:
    frame = mixed_frame(200)
    codec, objective = _built(frame, rate=0.5)
    objective.damage.source_index = torch.tensor([0, 1, 0, 1])
    rows = torch.arange(200).unsqueeze(1).expand(200, 4)
    shown, _, _ = objective._replace(rows, torch.zeros(200, 4), generator=_generator())
    assert torch.equal(shown[:, 0], shown[:, 2])
    assert torch.equal(shown[:, 1], shown[:, 3])
    assert not torch.equal(shown[:, 0], shown[:, 1])
    assert codec.source_index.tolist() == [0, 1, 2, 3]


def test__replaced_columns__gradient__reaches_every_detector_and_the_encoder() -> None:
    frame = mixed_frame(200)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    encoder = TINY.build(codec, generator=_generator())
    objective = ReplacedColumnsConfig().build(codec, encoder, generator=_generator())
    codes, generator = codec.transform(frame), _generator(5)
    for _ in range(4):
        objective.loss(encoder, codes.index, codes.fraction, generator=generator).backward()  # type: ignore[no-untyped-call]
    for name, parameter in [*encoder.named_parameters(), *objective.named_parameters()]:
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test__replaced_columns__untrained_detectors__start_at_the_loss_of_the_base_rate() -> None:
    frame = mixed_frame(800)
    codec, objective = _built(frame)
    with torch.no_grad():
        objective.weight.zero_()
    encoder = TINY.build(codec, generator=_generator())
    codes = codec.transform(frame)
    loss = objective.held_out_loss(encoder, codes, seed=3)
    _, _, truth = objective._replace(codes.index, codes.fraction, generator=_generator(9))
    rates = truth.double().mean(0)
    entropy = -(rates * rates.log() + (1 - rates) * (1 - rates).log()).mean()
    assert loss == pytest.approx(float(entropy), abs=0.03)


def test__replaced_columns__single_row_or_constant_columns__finite_and_no_auc() -> None:
    frame = mixed_frame(1)
    codec, objective = _built(frame)
    encoder = TINY.build(codec, generator=_generator())
    codes = codec.transform(frame)
    assert objective.held_out_loss(encoder, codes, seed=1) >= 0.0
    report = objective.column_report(encoder, codec, codes, seed=1)
    assert {measures["detection_auc"] for measures in report.values()} == {None}
    assert objective.held_out_loss(encoder, codes.select_rows(slice(0, 0)), seed=1) == 0.0


def test__detection_auc__ties_count_half() -> None:
    positive = torch.tensor([True, True, False, False])
    assert _auc(torch.tensor([3.0, 2.0, 1.0, 0.0]), positive) == 1.0
    assert _auc(torch.tensor([0.0, 0.0, 0.0, 0.0]), positive) == 0.5
    assert _auc(torch.tensor([1.0, 0.0, 1.0, 2.0]), positive) == 0.125
    assert _auc(torch.tensor([1.0, 0.0]), torch.tensor([True, True])) is None


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test__replaced_columns_config__rate_outside_the_open_interval__is_refused(rate: float) -> None:
    with pytest.raises(ValidationError):
        ReplacedColumnsConfig(rate=rate)
