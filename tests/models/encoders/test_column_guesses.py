"""Guesses of hidden columns: bitwise alone and in company, blind to what is hidden, each column by itself."""

from __future__ import annotations

import pytest
import torch

from models.encoders import ENCODERS, EncoderConfig
from models.encoders.column_guesses import ColumnGuesses
from models.features.codec import Codec, Codes
from models.layers.column_outputs import ColumnOutputs
from tests.models.kinds_table import KINDS_SCHEMA, kinds_frame
from tests.models.small_tables import MIXED_SCHEMA, TINY, mixed_frame

NUM_ROWS = 60


@pytest.fixture(scope="module", params=ENCODERS, ids=lambda config: config.model_fields["kind"].default)
def guesses(request: pytest.FixtureRequest) -> ColumnGuesses:
    config: type[EncoderConfig] = request.param
    codec = Codec.fit(mixed_frame(NUM_ROWS), MIXED_SCHEMA)
    generator = torch.Generator().manual_seed(1)
    encoder = config().build(codec, generator=generator).freeze()
    return ColumnGuesses(codec, encoder, ColumnOutputs(codec, encoder.d_model, generator=generator))


@pytest.fixture
def codes(guesses: ColumnGuesses) -> Codes:
    return guesses.codec.transform(mixed_frame(NUM_ROWS, seed=3))


@pytest.mark.parametrize("view", [(), ("noise",), ("noise", "price", "warmth")])
def test__column_guesses__any_rows_in_any_company__same_bits(
    guesses: ColumnGuesses, codes: Codes, view: tuple[str, ...]
) -> None:
    hidden = tuple(name for name in guesses.codec.names if name not in view)
    whole = guesses.compute(codes, view, hidden)
    for size in (1, 2, 7, 16, 17, 40):
        for start in (0, NUM_ROWS - size):
            rows = slice(start, start + size)
            alone = guesses.compute(codes.select_rows(rows), view, hidden[:1])
            assert torch.equal(alone[0], whole[0][rows])
            backwards = guesses.compute(codes.select_rows(rows), view, hidden[::-1])
            for one, other in zip(backwards[::-1], whole, strict=True):
                assert torch.equal(one, other[rows])


def test__column_guesses__hidden_or_absent_values_change__same_bits(
    guesses: ColumnGuesses, codes: Codes
) -> None:
    changed = guesses.codec.transform(
        mixed_frame(NUM_ROWS, seed=3).with_columns(
            colour=mixed_frame(NUM_ROWS, seed=8)["colour"], noise=mixed_frame(NUM_ROWS, seed=8)["noise"]
        )
    )
    (before,) = guesses.compute(codes, ("noise",), ("colour",))
    (after,) = guesses.compute(changed, ("noise",), ("colour",))
    assert torch.equal(before, after)
    assert not torch.equal(
        guesses.compute(changed, (), ("warmth",))[0], guesses.compute(codes, (), ("warmth",))[0]
    )


def test__column_guesses__shapes__one_logit_per_class_and_no_rows_is_fine(
    guesses: ColumnGuesses, codes: Codes
) -> None:
    names = guesses.codec.names
    for found, column in zip(guesses.compute(codes, (), names), guesses.codec.columns, strict=True):
        assert found.shape == (NUM_ROWS, column.num_values + 2)
        assert guesses.num_classes(column.name) == column.num_values + 2
        assert bool(found.isfinite().all())
    for found, column in zip(
        guesses.compute(codes.select_rows(slice(0, 0)), (), names), guesses.codec.columns, strict=True
    ):
        assert found.shape == (0, column.num_values + 2)


def test__column_guesses__agree_with_the_outputs_they_were_trained_as(
    guesses: ColumnGuesses, codes: Codes
) -> None:
    """The same log-probabilities, up to rounding, as the batched outputs give in training."""
    names = guesses.codec.names
    for position, found in enumerate(guesses.compute(codes, (), names)):
        index = codes.index.clone()
        index[:, position] = guesses.codec.offsets[position].to(index.dtype)
        fraction = codes.fraction.clone()
        fraction[:, position] = 0.0
        encoded = guesses.encoder(index, fraction, torch.arange(len(names)))
        (expected,) = guesses.outputs.log_probabilities(
            encoded.tokens[:, [position]].transpose(0, 1), [position]
        )
        torch.testing.assert_close(found.log_softmax(dim=1), expected, atol=1e-5, rtol=1e-4)


def test__column_guesses__derived_columns__hide_with_their_siblings() -> None:
    """Any part of a date gives the others away, so all are hidden when one is guessed."""
    frame = kinds_frame(40)
    codec = Codec.fit(frame, KINDS_SCHEMA)
    generator = torch.Generator().manual_seed(1)
    encoder = TINY.build(codec, generator=generator).freeze()
    guesses = ColumnGuesses(codec, encoder, ColumnOutputs(codec, encoder.d_model, generator=generator))
    for source in ("joined", "zip"):
        parts = [name for name, of in zip(codec.names, codec.source_of, strict=True) if of == source]
        assert len(parts) > 1
        changed = codec.transform(frame.with_columns(frame[source].reverse()))
        before = guesses.compute(codec.transform(frame), ("price",), parts)
        for one, other in zip(before, guesses.compute(changed, ("price",), parts), strict=True):
            assert torch.equal(one, other)
        (elsewhere,) = guesses.compute(changed, ("price",), ("colour",))
        assert not torch.equal(elsewhere, guesses.compute(codec.transform(frame), ("price",), ("colour",))[0])
