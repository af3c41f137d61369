"""Attention among the columns of one row, never across rows. `B` rows, `T` tokens, `D` width, `K` heads."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.layers.linear import make_linear
from models.layers.training_attention import Weights, attend, is_worthwhile


class Attention(nn.Module):
    """Multi-head attention of queries over a context (arXiv 1706.03762, §3.2).

    Shape: query float32 [B, T, D], context float32 [B, S, D] -> float32 [B, T, D].

    Training on few tokens on the CPU takes a form that is the same up to rounding and faster (`training_attention`);
    predictions always take `scaled_dot_product_attention`.

    Example:
        >>> layer = Attention(8, 2, generator=torch.Generator().manual_seed(0))
        >>> layer(torch.zeros(3, 5, 8), torch.zeros(3, 2, 8)).shape
        torch.Size([3, 5, 8])
    """

    def __init__(self, d_model: int, num_heads: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = make_linear(d_model, d_model, generator=generator)
        self.key_value = make_linear(d_model, 2 * d_model, generator=generator)
        self.output = make_linear(d_model, d_model, generator=generator)

    def forward(self, query: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Attend; shapes above."""
        if is_worthwhile(query, context):
            return attend(query, context, self.weights(), self.num_heads)
        keys, values = self.key_value(context).chunk(2, dim=-1)
        mixed = functional.scaled_dot_product_attention(
            *(
                tensor.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
                for tensor in (self.query(query), keys, values)
            )
        )
        projected: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(query.shape))
        return projected

    def weights(self) -> Weights:
        """As the training form takes them."""
        query, key_value, output = self.query, self.key_value, self.output
        return Weights(query.weight, query.bias, key_value.weight, key_value.bias, output.weight, output.bias)
