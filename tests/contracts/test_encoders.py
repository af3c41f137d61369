"""What every encoder architecture must hold, whatever it is made of."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.encoders import ENCODERS, EncoderConfig
from models.features.codec import Codec
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame, plain_table

ADAPTER: TypeAdapter[EncoderConfig] = TypeAdapter(EncoderConfig)
CONFIGS = [pytest.param(config, id=config.model_fields["kind"].default) for config in ENCODERS]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("config", CONFIGS)
def test__encoder_config__json_round_trip__equal(config: type[EncoderConfig]) -> None:
    assert ADAPTER.validate_json(config().model_dump_json()) == config()


@pytest.mark.parametrize("config", CONFIGS)
def test__encoder_config__unknown_option__is_refused(config: type[EncoderConfig]) -> None:
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(config().model_dump() | {"no_such_option": 1})


@pytest.mark.parametrize("config", CONFIGS)
def test__encoder__built_twice_from_one_seed__equal_and_global_generator_untouched(
    config: type[EncoderConfig],
) -> None:
    codec = Codec.fit(mixed_frame(60), MIXED_SCHEMA)
    before = torch.random.get_rng_state()
    first = config().build(codec, generator=_generator()).state_dict()
    second = config().build(codec, generator=_generator()).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(3, 2), (3, 0), (0, 3), (1, 0), (0, 1), (150, 150)])
def test__encoder__any_mix_of_columns__shapes_and_finite(
    config: type[EncoderConfig], shape: tuple[int, int]
) -> None:
    frame, schema = plain_table(*shape, num_rows=10)
    codec = Codec.fit(frame, schema)
    encoder = config().build(codec, generator=_generator()).freeze()
    codes = codec.transform(frame)
    num_columns = sum(shape)
    for columns in (torch.arange(num_columns), torch.arange(0, num_columns, 2), torch.arange(0)):
        index, fraction = codes.index.index_select(1, columns), codes.fraction.index_select(1, columns)
        encoded = encoder(index, fraction, columns)
        assert encoded.cls.shape == (10, encoder.d_model)
        assert encoded.tokens.shape == (10, len(columns), encoder.d_model)
        context = encoded.tokens if encoded.latents is None else encoded.latents
        assert context.shape[1] == encoder.num_context_tokens(len(columns))
        assert bool(encoded.cls.isfinite().all() and context.isfinite().all())


@pytest.mark.parametrize("config", CONFIGS)
def test__encoder__one_row_changes__other_rows_keep_their_bits(config: type[EncoderConfig]) -> None:
    frame = mixed_frame(30)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    encoder = config().build(codec, generator=_generator()).freeze()
    codes = codec.transform(frame)
    index = codes.index.clone()
    index[7, 0] = int(codec.offsets[0])
    columns = torch.arange(4)
    before, after = encoder(codes.index, codes.fraction, columns), encoder(index, codes.fraction, columns)
    others = torch.arange(30) != 7
    assert torch.equal(before.tokens[others], after.tokens[others])
    assert torch.equal(before.cls[others], after.cls[others])
    assert not torch.equal(before.tokens[7], after.tokens[7])
