"""What every encoder architecture must hold, whatever it is made of."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.encoders import DEFAULT, ENCODERS, EncoderConfig
from models.encoders.row_features import RowFeatures
from models.errors import EncoderError
from models.features.codec import Codec
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame, plain_table

ADAPTER: TypeAdapter[EncoderConfig] = TypeAdapter(EncoderConfig)
CONFIGS = [pytest.param(config, id=config.model_fields["kind"].default) for config in ENCODERS]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def _refusal(config: type[EncoderConfig], codec: Codec) -> EncoderError | None:
    """What the architecture says of a table that it is not for."""
    try:
        config().build(codec, generator=_generator())
    except EncoderError as error:
        return error
    return None


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
    refusal = _refusal(config, codec)
    if refusal is not None:
        assert config is not type(DEFAULT), "the default takes every table"
        assert (shape[0], refusal.code) == (0, "no_categorical_columns")
        assert DEFAULT.kind in refusal.message
        with pytest.raises(EncoderError, match=DEFAULT.kind):
            config().check_schema(schema)
        return
    encoder = config().build(codec, generator=_generator()).freeze()
    config().check_schema(schema)
    codes = codec.transform(frame)
    num_columns = sum(shape)
    for columns in (torch.arange(num_columns), torch.arange(0, num_columns, 2), torch.arange(0)):
        index, fraction = codes.index.index_select(1, columns), codes.fraction.index_select(1, columns)
        encoded = encoder(index, fraction, columns)
        assert encoded.cls.shape == (10, encoder.d_model)
        assert encoded.tokens.shape == (10, len(columns), encoder.d_model)
        context = encoded.context
        assert context.shape[1] == encoder.num_context_tokens(columns.tolist())
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


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (5, 40), (20, 11), (40, 1)])
def test__encoder__rows_alone_or_together_in_any_view__same_features_bitwise(
    config: type[EncoderConfig], shape: tuple[int, int]
) -> None:
    frame, schema = plain_table(*shape, num_rows=80)
    codec = Codec.fit(frame, schema)
    row_features = RowFeatures(codec, config().build(codec, generator=_generator()).freeze())
    codes = codec.transform(frame)
    categorical = tuple(sorted(name for name in codec.names if name.startswith("c")))
    continuous = tuple(sorted(name for name in codec.names if name.startswith("x")))
    for view in ((), categorical, continuous, codec.names[:1], tuple(sorted(codec.names))):
        whole = row_features.compute(codes, view)
        assert whole.shape == (80, row_features.width(view))
        assert len(row_features.names(view)) == row_features.width(view)
        assert bool(whole.isfinite().all())
        for size in (1, 2, 3, 15, 16, 17, 33):
            for start in (0, 80 - size):
                rows = slice(start, start + size)
                part = row_features.compute(codes.select_rows(rows), view)
                assert torch.equal(part, whole[rows]), f"{size} rows from {start} in a view of {len(view)}"


@pytest.mark.parametrize("config", CONFIGS)
def test__encoder__absent_columns_change__features_keep_their_bits(config: type[EncoderConfig]) -> None:
    frame = mixed_frame(30)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    row_features = RowFeatures(codec, config().build(codec, generator=_generator()).freeze())
    for name in codec.names:
        others = codec.transform(frame.with_columns(frame[name].reverse()))
        before = row_features.compute(codec.transform(frame), (name,))
        assert torch.equal(row_features.compute(others, (name,)), before)
        assert not torch.equal(
            row_features.compute(others, ()), row_features.compute(codec.transform(frame), ())
        )


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("shape", [(3, 2), (1, 0), (150, 150)])
def test__encoder__some_cells_encoded__as_among_all_with_the_same_gradients(
    config: type[EncoderConfig], shape: tuple[int, int]
) -> None:
    frame, schema = plain_table(*shape, num_rows=10)
    codec = Codec.fit(frame, schema)
    encoder = config().build(codec, generator=_generator())
    columns = torch.arange(0, sum(shape), 2)
    codes = codec.transform(frame)
    shown = (codes.index.index_select(1, columns), codes.fraction.index_select(1, columns), columns)
    cells = torch.randperm(10 * len(columns), generator=_generator())[: 4 * len(columns)].view(4, -1)
    weight = torch.randn(*cells.shape, encoder.d_model, generator=_generator())

    found = encoder.encode_cells(*shown, cells)
    expected = encoder(*shown).tokens.flatten(0, 1)[cells]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    parameters = list(encoder.parameters())
    of_cells, of_all = (
        torch.autograd.grad((tokens * weight).sum(), parameters, allow_unused=True)
        for tokens in (found, expected)
    )
    for one, other in zip(of_cells, of_all, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
