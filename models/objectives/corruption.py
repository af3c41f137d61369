"""Random damage to training rows, so that what prediction may meet is met in training.

`B` rows, `C` columns.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from models.features.codec import NUM_SPECIAL_CODES, CategoricalColumn, Codec, SpecialCode

MISSING_RATE = (
    0.01  # of cells shown as missing, so that a column complete in training still has that embedding
)
UNKNOWN_MASS = 0.005  # each category of a column is shown as unknown in about this share of rows …
MAX_UNKNOWN_RATE = 0.1  # … but a rare one in at most this share of its own rows
COLUMN_DROPOUT_BATCHES = 0.5  # share of batches that go without some columns …
MAX_DROPPED_SHARE = 0.3  # … and without at most this share of them at once


class Damage(nn.Module):
    """What training rows go through before an encoder sees them; what must be guessed stays the true value.

    Columns derived from one value (of one source) are treated alike. Draws are made on the generator's device and
    used on the codes', which is the module's.

    Shape: codes are index int [B, C] and fraction float32 [B, C].
    """

    unknown_rates: torch.Tensor
    offsets: torch.Tensor
    source_index: torch.Tensor

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        rates = torch.zeros(codec.num_embeddings)
        for column, offset in zip(codec.columns, codec.offsets.tolist(), strict=True):
            if isinstance(column, CategoricalColumn) and column.categories:
                first = offset + NUM_SPECIAL_CODES
                frequencies = torch.tensor(column.frequencies)
                rates[first : first + column.num_values] = (UNKNOWN_MASS / frequencies).clamp(
                    max=MAX_UNKNOWN_RATE
                )
        self.sources: list[int] = codec.source_index.tolist()
        self.num_sources = max(self.sources) + 1
        self.register_buffer("unknown_rates", rates.unsqueeze(1), persistent=False)
        self.register_buffer("offsets", codec.offsets, persistent=False)
        self.register_buffer("source_index", codec.source_index, persistent=False)

    def fold(
        self, index: torch.Tensor, fraction: torch.Tensor, *, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes with some cells shown as unknown (rare categories sooner) or as missing."""
        draws = self._uniform(*index.shape, generator=generator)
        unknown = draws < functional.embedding(index, self.unknown_rates).squeeze(-1)
        missing = draws >= 1.0 - MISSING_RATE
        offsets = self.offsets.to(index.dtype)
        folded = torch.where(unknown, offsets + int(SpecialCode.UNKNOWN), index)
        folded = torch.where(missing, offsets + int(SpecialCode.MISSING), folded)
        return folded, fraction.masked_fill(missing, 0.0)

    def hide(
        self, index: torch.Tensor, fraction: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes with the cells `hidden` bool [B, C] replaced by their column's masked code."""
        masked = (self.offsets + int(SpecialCode.MASKED)).to(index.dtype)
        return torch.where(hidden, masked, index), fraction.masked_fill(hidden, 0.0)

    def swap(
        self,
        index: torch.Tensor,
        fraction: torch.Tensor,
        is_swapped: torch.Tensor,
        *,
        generator: torch.Generator,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes of rows in random order, with other rows' values of the same column where `is_swapped` bool [B, C]; each
        source has its own donors.
        """
        num_rows = index.shape[0]
        if num_rows < 2:
            return index, fraction
        device = self.source_index.device
        shifts = torch.randint(
            1, num_rows, (1, self.num_sources), generator=generator, device=generator.device
        )
        rows = torch.arange(num_rows, device=device).unsqueeze(1)
        donors = (rows + shifts.to(device).index_select(1, self.source_index)) % num_rows
        return (
            torch.where(is_swapped, index.gather(0, donors), index),
            torch.where(is_swapped, fraction.gather(0, donors), fraction),
        )

    def draw_rates(
        self, num_rows: int, low: float, high: float, *, generator: torch.Generator
    ) -> torch.Tensor:
        """Of each row, uniform between two rates, float32 [B, 1]."""
        return self._uniform(num_rows, 1, generator=generator) * (high - low) + low

    def draw_per_source(self, num_rows: int, *, generator: torch.Generator) -> torch.Tensor:
        """Uniform draws float32 [B, C], equal for columns of one source."""
        draws = self._uniform(num_rows, self.num_sources, generator=generator)
        return draws.index_select(1, self.source_index)

    def draw_present_columns(self, *, generator: torch.Generator) -> list[int]:
        """Columns a batch keeps, increasing; at least one. The others are removed as heads' views remove them: all
        columns of a source together.
        """
        device = generator.device
        is_dropping = float(torch.rand((), generator=generator, device=device)) < COLUMN_DROPOUT_BATCHES
        most = min(self.num_sources - 1, math.ceil(self.num_sources * MAX_DROPPED_SHARE))
        if not is_dropping or most < 1:
            return list(range(len(self.sources)))
        num_dropped = int(torch.randint(1, most + 1, (), generator=generator, device=device))
        order = torch.randperm(self.num_sources, generator=generator, device=device)
        kept = set(order[num_dropped:].tolist())
        return [column for column, source in enumerate(self.sources) if source in kept]

    def _uniform(self, *shape: int, generator: torch.Generator) -> torch.Tensor:
        draws = torch.rand(*shape, generator=generator, device=generator.device)
        return draws.to(self.source_index.device)
