"""Encoders so wide that threads would share the terms of a sum: rows keep their bits in any company."""

from __future__ import annotations

import pytest
import torch

from models.encoders import ColumnTransformerConfig
from models.encoders.row_features import RowFeatures
from models.features.codec import Codec
from models.layers.linear import MAX_SHARED_SUM
from tests.models.small_tables import MIXED_SCHEMA, mixed_frame


@pytest.mark.parametrize("num_threads", [2, 4])
def test__row_features__of_a_wide_encoder__bitwise_as_alone(num_threads: int) -> None:
    frame = mixed_frame(300)
    codec = Codec.fit(frame, MIXED_SCHEMA)
    config = ColumnTransformerConfig(d_model=512, num_layers=1)
    encoder = config.build(codec, generator=torch.Generator().manual_seed(0)).freeze()
    assert encoder.longest_sum > MAX_SHARED_SUM
    row_features = RowFeatures(codec, encoder)
    codes = codec.transform(frame)
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        alone = torch.cat([row_features.compute(codes.select_rows([row]), ()) for row in range(8)])
        for num_rows in (7, 64, 300):
            together = row_features.compute(codes.select_rows(slice(0, num_rows)), ())[:8]
            assert torch.equal(together, alone[: len(together)])
    finally:
        torch.set_num_threads(before)
