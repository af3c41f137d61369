"""The packed table: interpolation between knots, frozen equals live, columns do not touch each other."""

from __future__ import annotations

import polars as pl
import torch

from models.features.codec import Codec
from models.layers.packed_embedding import PackedEmbedding
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame, plain_table


def _layer(codec: Codec) -> PackedEmbedding:
    return PackedEmbedding(codec, 8, generator=torch.Generator().manual_seed(0))


def test__packed_embedding__number_between_knots__lies_on_the_line_between_their_embeddings() -> None:
    frame, schema = plain_table(0, 1, 20)
    codec = Codec.fit(frame, schema)
    knots = codec.continuous[0].knots
    values = [knots[3], knots[3] * 0.75 + knots[4] * 0.25, knots[4]]
    codes = codec.transform(pl.DataFrame({"x0": values}))
    low, between, high = _layer(codec)(codes.index, codes.fraction, 0)[:, 0]
    torch.testing.assert_close(between, 0.75 * low + 0.25 * high)


def test__packed_embedding__knots__are_running_sums_of_the_learned_rows() -> None:
    codec = Codec.fit(mixed_frame(200), MIXED_SCHEMA)
    layer = _layer(codec)
    for position in (2, 3):
        start = int(codec.offsets[position]) + 4
        rows = slice(start, start + codec.columns[position].num_values)
        torch.testing.assert_close(layer.table()[rows], layer.weight[rows].cumsum(0))
        specials = slice(start - 4, start)
        assert torch.equal(layer.table()[specials], layer.weight[specials])


def test__packed_embedding__frozen__same_bits() -> None:
    frame = mixed_frame(50)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    codes, layer = codec.transform(frame), _layer(codec)
    live = layer(codes.index, codes.fraction, codec.num_categorical)
    layer.freeze()
    assert torch.equal(live, layer(codes.index, codes.fraction, codec.num_categorical))


def test__packed_embedding__one_column_changes__others_keep_their_bits() -> None:
    frame = mixed_frame(50)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    layer = _layer(codec)
    before, after = codec.transform(frame), codec.transform(frame.with_columns(pl.lit(0.0).alias("price")))
    first = layer(before.index, before.fraction, codec.num_categorical)
    second = layer(after.index, after.fraction, codec.num_categorical)
    assert [torch.equal(first[:, i], second[:, i]) for i in range(4)] == [True, True, False, True]


def test__packed_embedding__gradient__reaches_only_rows_in_use() -> None:
    codec = Codec.fit(mixed_frame(50), MIXED_SCHEMA)
    codes = codec.transform(
        pl.DataFrame({"colour": ["red"], "warmth": [True], "price": [None], "noise": [None]})
    )
    layer = _layer(codec)
    layer(codes.index, codes.fraction, codec.num_categorical).sum().backward()
    assert layer.weight.grad is not None
    used = layer.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert used == codes.index[0].tolist()
