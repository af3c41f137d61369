"""Random damage to training rows, so that what prediction may meet is met in training.

`B` rows, `C` columns.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from models.features.codec import NUM_SPECIAL_CODES, CategoricalColumn, Codec, SpecialCode

MISSING_RATE = (
    0.01  # of cells shown as missing, so that a column complete in training still has that embedding
)
UNKNOWN_MASS = 0.005  # each category of a column is shown as unknown in about this share of rows …
MAX_UNKNOWN_RATE = 0.1  # … but a rare one in at most this share of its own rows
COLUMN_DROPOUT_BATCHES = 0.5  # share of batches that go without some columns …
MAX_DROPPED_SHARE = 0.3  # … and without at most this share of them at once


class Folding:
    """Shows some cells as unknown (rare categories sooner) or as missing; what must be guessed stays the true value."""

    def __init__(self, codec: Codec) -> None:
        rates = torch.zeros(codec.num_embeddings)
        for column, offset in zip(codec.columns, codec.offsets.tolist(), strict=True):
            if isinstance(column, CategoricalColumn) and column.categories:
                first = offset + NUM_SPECIAL_CODES
                frequencies = torch.tensor(column.frequencies)
                rates[first : first + column.num_values] = (UNKNOWN_MASS / frequencies).clamp(
                    max=MAX_UNKNOWN_RATE
                )
        self.rates = rates.unsqueeze(1)
        self.offsets = codec.offsets

    def fold(
        self, index: torch.Tensor, fraction: torch.Tensor, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Shape: index int [B, C] and fraction float32 [B, C] on the CPU -> the same, with some cells folded."""
        draws = torch.rand(index.shape, generator=generator)
        unknown = draws < functional.embedding(index, self.rates).squeeze(-1)
        missing = draws >= 1.0 - MISSING_RATE
        offsets = self.offsets.to(index.dtype)
        folded = torch.where(unknown, offsets + int(SpecialCode.UNKNOWN), index)
        folded = torch.where(missing, offsets + int(SpecialCode.MISSING), folded)
        return folded, fraction.masked_fill(missing, 0.0)


def swap_cells(
    index: torch.Tensor,
    fraction: torch.Tensor,
    is_swapped: torch.Tensor,
    source_index: torch.Tensor,
    *,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Show other rows' values of the same column where `is_swapped` bool [B, C]; each source has its own donors, so
    that columns derived from one value stay those of one value.

    Shape: index int [B, C] and fraction float32 [B, C] of rows in random order, source_index int64 [C] -> the first two.
    """
    num_rows = index.shape[0]
    if num_rows < 2:
        return index, fraction
    num_sources = int(source_index.max()) + 1
    shifts = torch.randint(1, num_rows, (1, num_sources), generator=generator).index_select(1, source_index)
    donors = (torch.arange(num_rows).unsqueeze(1) + shifts) % num_rows
    return (
        torch.where(is_swapped, index.gather(0, donors), index),
        torch.where(is_swapped, fraction.gather(0, donors), fraction),
    )


def draw_present_columns(source_index: torch.Tensor, *, generator: torch.Generator) -> list[int]:
    """Columns a batch keeps, increasing; at least one. The others are removed as heads' views remove them: all
    columns of a source together.

    Shape: `source_index` int64 [C], the number of each column's source.
    """
    num_columns, num_sources = len(source_index), int(source_index.max()) + 1
    is_dropping = float(torch.rand((), generator=generator)) < COLUMN_DROPOUT_BATCHES
    most = min(num_sources - 1, math.ceil(num_sources * MAX_DROPPED_SHARE))
    if not is_dropping or most < 1:
        return list(range(num_columns))
    num_dropped = int(torch.randint(1, most + 1, (), generator=generator))
    kept = set(torch.randperm(num_sources, generator=generator)[num_dropped:].tolist())
    return [column for column, source in enumerate(source_index.tolist()) if source in kept]
