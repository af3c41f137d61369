"""Attention among the columns of one row, never across rows. `B` rows, `T` tokens, `D` width, `K` heads."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.layers.linear import make_linear


class Attention(nn.Module):
    """Multi-head attention of queries over a context (arXiv 1706.03762, §3.2).

    Shape: query float32 [B, T, D], context float32 [B, S, D] -> float32 [B, T, D].

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
        num_rows, num_queries, d_model = query.shape
        d_head = d_model // self.num_heads
        queries = self.query(query).view(num_rows, num_queries, self.num_heads, d_head).transpose(1, 2)
        keys, values = (
            self.key_value(context).view(num_rows, context.shape[1], 2, self.num_heads, d_head).unbind(2)
        )
        mixed = functional.scaled_dot_product_attention(queries, keys.transpose(1, 2), values.transpose(1, 2))
        projected: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(num_rows, num_queries, d_model))
        return projected
