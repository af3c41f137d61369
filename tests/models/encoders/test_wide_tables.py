"""Tables of hundreds of columns: cost and width stay bounded."""

from __future__ import annotations

import pytest
import torch

from models.encoders import DEFAULT, ColumnTransformerConfig
from models.encoders.raw_features import MAX_RAW_WIDTH, MIN_FEATURES_PER_COLUMN
from models.layers.attention import Attention
from models.layers.blocks import LatentAttentionBlock
from tests.models.small_tables import TINY, Untrained, plain_table, untrained


@pytest.fixture(scope="module")
def wide() -> Untrained:
    frame, schema = plain_table(300, 300, num_rows=12)
    return untrained(frame, schema, ColumnTransformerConfig(num_layers=1))


def test__wide_table__default_sizes__mixes_columns_through_latents(wide: Untrained) -> None:
    blocks = [module for module in wide.encoder.modules() if isinstance(module, LatentAttentionBlock)]
    assert len(blocks) == 1
    assert wide.encoder.num_context_tokens(range(600)) == DEFAULT.num_latents


def test__wide_table__row_features__bounded_and_bitwise(wide: Untrained) -> None:
    width = wide.row_features.width(())
    learned = (DEFAULT.num_latents + 1) * DEFAULT.d_model
    assert width - learned <= max(MAX_RAW_WIDTH, MIN_FEATURES_PER_COLUMN * 600)
    whole = wide.row_features.compute(wide.codes, ())
    for row in (0, 11):
        assert torch.equal(wide.row_features.compute(wide.codes.select_rows([row]), ())[0], whole[row])


def test__wide_table__absent_columns__change_nothing() -> None:
    frame, schema = plain_table(10, 10, num_rows=6)
    table = untrained(frame, schema, TINY)
    view = tuple(sorted(f"c{i}" for i in range(9)))
    changed = table.codec.transform(frame.drop(view))
    expected = table.row_features.compute(table.codes, view)
    assert torch.equal(table.row_features.compute(changed, view), expected)
    assert len(table.row_features.names(view)) == expected.shape[1]


def test__wide_table__columns_quadruple__attention_grows_linearly() -> None:
    pairs = []
    for num_columns in (300, 1200):
        frame, schema = plain_table(num_columns, 0, num_rows=4)
        table = untrained(frame, schema, ColumnTransformerConfig(d_model=8, num_layers=2, num_heads=1))
        seen: list[int] = []

        def count(
            module: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor], seen: list[int] = seen
        ) -> None:
            seen.append(inputs[0].shape[1] * inputs[1].shape[1])

        for module in table.encoder.modules():
            if isinstance(module, Attention):
                module.register_forward_pre_hook(count)
        with torch.no_grad():
            table.encoder(table.codes.index, table.codes.fraction, torch.arange(num_columns))
        pairs.append(sum(seen))
    assert 0 < pairs[1] <= 4 * pairs[0]
