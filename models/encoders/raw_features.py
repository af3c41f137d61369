"""Raw features: one-hot categories, piecewise-linear numbers and flags, straight from codes, without the encoder.

`B` rows, `C` columns, `W` raw features.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch.nn import functional

from models.features.codec import (
    NUM_SPECIAL_CODES,
    CategoricalColumn,
    Codec,
    Codes,
    ContinuousColumn,
    SpecialCode,
)

# Categories beyond the most frequent ones share one feature; and the whole block stays below a width that a few
# hundred labels and a Gram matrix can bear, so columns of very wide tables get fewer features each.
MAX_CATEGORIES_PER_COLUMN = 64
MAX_RAW_WIDTH = 8_192
MIN_FEATURES_PER_COLUMN = 3


@dataclass(frozen=True)
class ColumnSlots:
    """Raw features of one column, in this order: values, then "other or unreadable", then "missing".

    `num_values` of a category are its most frequent ones; of a number its piecewise-linear bins.
    """

    column: str
    num_values: int

    @property
    def width(self) -> int:
        return self.num_values + 2

    @property
    def names(self) -> tuple[str, ...]:
        """Stable names without cell contents: values are numbered in the codec's order."""
        values = tuple(f"raw:{self.column}:{i}" for i in range(self.num_values))
        return (*values, f"raw:{self.column}:other", f"raw:{self.column}:missing")


class RawFeatures:
    """Layout version 1 of raw features for the present columns of one view.

    Shape: codes of all C columns -> float32 [B, W].

    Piecewise-linear encoding after arXiv 2203.05556, §3.2: bin j holds how much of it lies below the value. A missing
    number stands at the median, beside its flag.
    """

    def __init__(self, codec: Codec, present: tuple[int, ...]) -> None:
        cap = max(MIN_FEATURES_PER_COLUMN, MAX_RAW_WIDTH // max(len(codec.columns), 1)) - 2
        self.slots = tuple(_slots(codec.columns[position], cap) for position in present)
        self.width = sum(slots.width for slots in self.slots)
        self.columns = torch.tensor(present, dtype=torch.int64)
        # Where each packed row puts its 1; the extra slot `width` is cut off afterwards.
        self._one_hot = torch.full((codec.num_embeddings,), self.width, dtype=torch.int64)
        bins: list[tuple[int, int, float, float]] = []  # (feature, present column, first knot, span in knots)
        start = 0
        for order, (position, slots) in enumerate(zip(present, self.slots, strict=True)):
            column, offset = codec.columns[position], int(codec.offsets[position])
            other = start + slots.num_values
            self._one_hot[offset + SpecialCode.UNKNOWN] = other
            self._one_hot[offset + SpecialCode.MISSING] = other + 1
            first = offset + NUM_SPECIAL_CODES
            if isinstance(column, CategoricalColumn):
                self._one_hot[first : first + slots.num_values] = torch.arange(start, other)
                self._one_hot[first + slots.num_values : first + column.num_values] = other
            else:
                edges = _bin_edges(column, slots.num_values)
                for j, (low, high) in enumerate(itertools.pairwise(edges)):
                    bins.append((start + j, order, float(low), float(high - low)))
            start += slots.width
        self._bin_features = torch.tensor([b[0] for b in bins], dtype=torch.int64)
        self._bin_columns = torch.tensor([b[1] for b in bins], dtype=torch.int64)
        self._bin_starts = torch.tensor([b[2] for b in bins], dtype=torch.float32)
        self._bin_spans = torch.tensor([b[3] for b in bins], dtype=torch.float32)
        self._offsets = codec.offsets[self.columns] + NUM_SPECIAL_CODES
        self._medians = torch.tensor(
            [
                column.median_position
                if isinstance(column := codec.columns[position], ContinuousColumn)
                else 0.0
                for position in present
            ],
            dtype=torch.float32,
        )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for slots in self.slots for name in slots.names)

    def compute(self, codes: Codes) -> torch.Tensor:
        """Features float32 [B, W] on the CPU; a row's features depend on that row alone (elementwise operations only)."""
        index = codes.index.index_select(1, self.columns)
        features = torch.zeros(len(codes), self.width + 1)
        features.scatter_(1, functional.embedding(index, self._one_hot.unsqueeze(1)).squeeze(2), 1.0)
        if self._bin_features.numel():
            positions = (index - self._offsets).to(torch.float32)
            positions = torch.where(
                positions < 0, self._medians, positions + codes.fraction.index_select(1, self.columns)
            )
            spread = positions.index_select(1, self._bin_columns)
            filled = ((spread - self._bin_starts) / self._bin_spans).clamp_(0.0, 1.0)
            features.index_copy_(1, self._bin_features, filled)
        return features[:, : self.width]


def _slots(column: CategoricalColumn | ContinuousColumn, cap: int) -> ColumnSlots:
    if isinstance(column, CategoricalColumn):
        return ColumnSlots(column.name, min(column.num_values, cap, MAX_CATEGORIES_PER_COLUMN))
    return ColumnSlots(column.name, min(max(column.num_values - 1, 0), cap))


def _bin_edges(column: ContinuousColumn, num_bins: int) -> list[int]:
    """Knots that bound the bins: all of them, or `num_bins` + 1 spread evenly where the width is capped."""
    if num_bins == 0:
        return []
    last = column.num_values - 1
    return [round(i * last / num_bins) for i in range(num_bins + 1)]
