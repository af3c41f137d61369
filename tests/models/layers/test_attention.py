"""Attention: the form taken in training equals the one taken in prediction; rows do not see each other."""

from __future__ import annotations

import pytest
import torch

from models.layers.attention import Attention
from models.layers.blocks import LatentAttentionBlock, SelfAttentionBlock


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize("num_heads", [1, 2, 4])
def test__attention__training_and_prediction__equal_up_to_rounding(num_heads: int) -> None:
    layer = Attention(16, num_heads, generator=_generator())
    query, context = (
        torch.randn(5, 7, 16, generator=_generator()),
        torch.randn(5, 3, 16, generator=_generator()),
    )
    with torch.no_grad():
        predicted = layer(query, context)
    torch.testing.assert_close(layer(query, context), predicted, atol=1e-5, rtol=1e-5)


def test__self_attention_block__tokens_permuted__output_permuted() -> None:
    block = SelfAttentionBlock(16, 2, generator=_generator())
    tokens = torch.randn(3, 6, 16, generator=_generator())
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    torch.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order], atol=1e-5, rtol=1e-5)


def test__latent_attention_block__one_token_changes__every_token_of_that_row_and_no_other_row_changes() -> (
    None
):
    block = LatentAttentionBlock(16, 2, generator=_generator())
    tokens, latents = (
        torch.randn(3, 6, 16, generator=_generator()),
        torch.randn(3, 2, 16, generator=_generator()),
    )
    changed = tokens.clone()
    changed[1, 4] += 1.0
    with torch.no_grad():
        before, after = block(tokens, latents)[0], block(changed, latents)[0]
    differs = (before != after).any(dim=-1)
    assert differs[1].all()
    assert not differs[0].any()
    assert not differs[2].any()
