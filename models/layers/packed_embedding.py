"""All columns' values in one embedding table. `B` rows, `C` columns, `D` width, `R` rows of the table."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from models.features.codec import NUM_SPECIAL_CODES, Codec
from models.layers.gather import gather_rows


class PackedEmbedding(nn.Module):
    """Categories looked up, numbers interpolated between the embeddings of their two neighbouring knots.

    The knots' embeddings are running sums of what is learned, so each learned row is the slope of one bin: the
    piecewise-linear embedding of arXiv 2203.05556 (§3.3, "PLE-L" without activation) as two gathers and a lerp
    instead of a product with a wide, mostly constant encoding.

    Shape: index int [B, C'], fraction float32 [B, C'] -> float32 [B, C', D].

    Example:
        >>> import polars as pl
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> frame = pl.DataFrame({"a": [0.0, 1.0, 2.0]})
        >>> codec = Codec.fit(frame, schema)
        >>> codes = codec.transform(frame)
        >>> layer = PackedEmbedding(codec, 8, generator=torch.Generator().manual_seed(0))
        >>> layer(codes.index, codes.fraction, 0).shape
        torch.Size([3, 1, 8])
    """

    gather: torch.Tensor
    scatter: torch.Tensor
    frozen: torch.Tensor | None

    def __init__(self, codec: Codec, d_model: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.num_categorical_rows = _first_continuous_row(codec)
        weight = torch.empty(codec.num_embeddings, d_model).normal_(std=d_model**-0.5, generator=generator)
        gather, scatter = _knot_layout(codec)
        # Slopes of a column's bins add up to a curve as long as one category's embedding.
        lengths = (gather > 0).sum(dim=1, keepdim=True).clamp(min=1).to(torch.float32)
        for knots, length in zip(gather, lengths, strict=True):
            used = knots[knots > 0] - 1 + self.num_categorical_rows
            weight[used[1:]] /= length.sqrt()
        self.weight = nn.Parameter(weight)
        self.register_buffer("gather", gather, persistent=False)
        self.register_buffer("scatter", scatter, persistent=False)
        self.register_buffer("frozen", None, persistent=False)

    def table(self) -> torch.Tensor:
        """Rows as they are added to tokens, float32 [R, D]: knots are running sums of their column's slopes."""
        if self.frozen is not None:
            return self.frozen
        if self.gather.shape[0] == 0:
            return self.weight
        fixed, learned = self.weight[: self.num_categorical_rows], self.weight[self.num_categorical_rows :]
        padded = functional.embedding(self.gather, functional.pad(learned, (0, 0, 1, 0)))
        cumulative = padded.cumsum(dim=1).flatten(0, 1)
        continuous = functional.embedding(self.scatter, torch.cat([learned, cumulative]))
        # One spare row: the neighbour of the very last knot is gathered too, with weight zero.
        return torch.cat([fixed, continuous, continuous[-1:]])

    def freeze(self) -> None:
        """Keep the table as computed now; for inference, when weights no longer change."""
        self.frozen = None
        self.frozen = self.table().detach().clone()

    def forward(self, index: torch.Tensor, fraction: torch.Tensor, num_categorical: int) -> torch.Tensor:
        """Embed codes.

        Shape: index int [B, C'], fraction float32 [B, C'], of which the first `num_categorical` columns are
        categorical -> float32 [B, C', D].
        """
        table = self.table()
        num_continuous = index.shape[1] - num_categorical
        if num_continuous == 0:
            return gather_rows(table, index)
        numbers = index[:, num_categorical:]
        low, high = gather_rows(table, numbers), gather_rows(table, numbers + 1)
        interpolated = torch.lerp(low, high, fraction[:, num_categorical:].unsqueeze(-1))
        if num_categorical == 0:
            return interpolated
        return torch.cat([gather_rows(table, index[:, :num_categorical]), interpolated], dim=1)


def _first_continuous_row(codec: Codec) -> int:
    if codec.num_categorical == len(codec.columns):
        return codec.num_embeddings
    return int(codec.offsets[codec.num_categorical])


def _knot_layout(codec: Codec) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the running sums take their slopes from and where they go.

    `gather` int64 [N, K]: per continuous column its knots among the continuous rows, plus one; 0 is padding.
    `scatter` int64 [R']: per continuous row its place in [rows as learned | running sums of `gather`, flattened].
    """
    columns = codec.continuous
    width = max((column.num_values for column in columns), default=0)
    num_rows = sum(NUM_SPECIAL_CODES + column.num_values for column in columns)
    gather = torch.zeros(len(columns), width, dtype=torch.int64)
    scatter = torch.arange(num_rows, dtype=torch.int64)
    start = 0
    for position, column in enumerate(columns):
        knots = torch.arange(start + NUM_SPECIAL_CODES, start + NUM_SPECIAL_CODES + column.num_values)
        gather[position, : column.num_values] = knots + 1
        scatter[knots] = num_rows + position * width + torch.arange(column.num_values)
        start += NUM_SPECIAL_CODES + column.num_values
    return gather, scatter
