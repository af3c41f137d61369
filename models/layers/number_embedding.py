"""Numbers as one slope per column. `B` rows, `C` continuous columns of the codec, `C'` present ones, `D` width."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from models.features.codec import NUM_SPECIAL_CODES, Codec

# Quantile positions of a column are about uniform in [0, 1]; this gives them about unit variance.
SCALE = math.sqrt(12.0)

OBSERVED = NUM_SPECIAL_CODES
"""State of a cell that holds a number, after the special codes."""


class NumberEmbedding(nn.Module):
    """Each number's standardised quantile position times its column's slope, plus a vector for the cell's state.

    The state is masked, absent, missing, unknown or observed, so a cell without a number has an embedding of its own.

    Shape: index int [B, C'], fraction float32 [B, C'], columns int64 [C'] among the continuous ones -> [B, C', D].

    Example:
        >>> import polars as pl
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
        >>> codec = Codec.fit(frame, schema)
        >>> codes = codec.transform(frame)
        >>> layer = NumberEmbedding(codec, 8, generator=torch.Generator().manual_seed(0))
        >>> layer(codes.index, codes.fraction, torch.tensor([0])).shape
        torch.Size([3, 1, 8])
    """

    offsets: torch.Tensor
    medians: torch.Tensor
    gains: torch.Tensor

    def __init__(self, codec: Codec, d_model: int, *, generator: torch.Generator) -> None:
        super().__init__()
        columns = codec.continuous
        std = d_model**-0.5
        self.slopes = nn.Parameter(torch.empty(len(columns), d_model).normal_(std=std, generator=generator))
        self.states = nn.Parameter(
            torch.empty(len(columns) * (OBSERVED + 1), d_model).normal_(std=std, generator=generator)
        )
        offsets = codec.offsets[codec.num_categorical :]
        medians = torch.tensor([column.median_position for column in columns], dtype=torch.float32)
        lengths = torch.tensor([max(column.num_values - 1, 1) for column in columns], dtype=torch.float32)
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("medians", medians, persistent=False)
        self.register_buffer("gains", SCALE / lengths, persistent=False)

    def forward(self, index: torch.Tensor, fraction: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Embed numbers; shapes above."""
        local = index - self.offsets[columns].to(index.dtype)
        states = columns * (OBSERVED + 1) + local.clamp(max=OBSERVED)
        positions = (local - OBSERVED).to(torch.float32) + fraction
        standardised = (positions - self.medians[columns]) * self.gains[columns]
        standardised = standardised.masked_fill(local < OBSERVED, 0.0)
        slopes = functional.embedding(columns, self.slopes)
        embedded: torch.Tensor = (
            functional.embedding(states, self.states) + standardised.unsqueeze(-1) * slopes
        )
        return embedded
