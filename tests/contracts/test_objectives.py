"""What every pretraining objective must hold."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter

from models.encoders import DEFAULT, Encoder
from models.features.codec import Codec, Codes
from models.objectives import OBJECTIVES, Objective, ObjectiveConfig
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame, plain_table

ADAPTER: TypeAdapter[ObjectiveConfig] = TypeAdapter(ObjectiveConfig)
CONFIGS = [pytest.param(config, id=config.model_fields["kind"].default) for config in OBJECTIVES]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _built(config: type[ObjectiveConfig], num_rows: int = 128) -> tuple[Encoder, Objective, Codes]:
    frame = mixed_frame(num_rows)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    encoder = TINY.build(codec, generator=_generator())
    return encoder, config().build(codec, encoder, generator=_generator()), codec.transform(frame)


@pytest.mark.parametrize("config", CONFIGS)
def test__objective_config__json_round_trip__equal(config: type[ObjectiveConfig]) -> None:
    assert ADAPTER.validate_json(config().model_dump_json()) == config()


@pytest.mark.parametrize("config", CONFIGS)
def test__objective__same_generator_state__same_loss_and_global_generator_untouched(
    config: type[ObjectiveConfig],
) -> None:
    encoder, objective, codes = _built(config)
    before = torch.random.get_rng_state()
    losses = [
        objective.loss(encoder, codes.index, codes.fraction, generator=_generator(seed)).detach()
        for seed in (1, 1, 2)
    ]
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("config", CONFIGS)
def test__objective__held_out_loss__repeats_and_needs_no_gradient(config: type[ObjectiveConfig]) -> None:
    encoder, objective, codes = _built(config)
    first = objective.held_out_loss(encoder, codes, seed=4)
    assert first == objective.held_out_loss(encoder, codes, seed=4)
    assert all(parameter.grad is None for parameter in encoder.parameters())


@pytest.mark.parametrize("config", CONFIGS)
def test__objective__a_few_steps__held_out_loss_falls(config: type[ObjectiveConfig]) -> None:
    encoder, objective, codes = _built(config)
    optimizer = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=3e-3)
    before, generator = objective.held_out_loss(encoder, codes, seed=4), _generator()
    for _ in range(60):
        optimizer.zero_grad()
        objective.loss(encoder, codes.index, codes.fraction, generator=generator).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert objective.held_out_loss(encoder, codes, seed=4) < before - 0.02


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(1, 0), (0, 1), (4, 0), (0, 4)])
@pytest.mark.parametrize("num_rows", [1, 3])
def test__objective__few_columns_and_rows__finite_loss(
    config: type[ObjectiveConfig], shape: tuple[int, int], num_rows: int
) -> None:
    frame, schema = plain_table(*shape, num_rows=num_rows)
    codec = Codec.fit(frame, schema)
    encoder = DEFAULT.build(codec, generator=_generator())
    objective = config().build(codec, encoder, generator=_generator())
    codes = codec.transform(frame)
    for seed in range(5):
        loss = objective.loss(encoder, codes.index, codes.fraction, generator=_generator(seed))
        assert math.isfinite(float(loss.detach()))
