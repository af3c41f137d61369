"""Raw features: one-hot categories, numbers as bins and as values, and flags, straight from codes, without the encoder.

`B` rows, `C` columns, `W` raw features.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
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

# One wild value must not decide a row: a number further from its column's mean stands so many deviations away, and one
# more than twice as far from the median as the quantiles of these tails stands there.
MAX_DEVIATIONS = 5.0
TAIL = 0.03


class FeatureKind(IntEnum):
    """What a row feature is, which is what its scale hangs on."""

    LEARNED = 0  # by the encoder
    INDICATOR = 1  # 0 or 1: a category, or a flag
    BIN = 2  # a share of a number's piecewise-linear encoding
    VALUE = 3  # a number itself, in standard deviations


@dataclass(frozen=True)
class ColumnSlots:
    """Raw features of one column, in this order: bins or categories, "other or unreadable", "missing", and the value.

    `num_values` of a category are its most frequent ones; of a number its piecewise-linear bins.
    """

    column: str
    num_values: int
    is_number: bool
    has_value: bool

    @property
    def kinds(self) -> tuple[FeatureKind, ...]:
        values = (FeatureKind.BIN if self.is_number else FeatureKind.INDICATOR,) * self.num_values
        flags = (FeatureKind.INDICATOR, FeatureKind.INDICATOR)
        return (*values, *flags, FeatureKind.VALUE) if self.has_value else (*values, *flags)

    @property
    def width(self) -> int:
        return self.num_values + 2 + self.has_value

    @property
    def names(self) -> tuple[str, ...]:
        """Stable names without cell contents: values are numbered in the codec's order."""
        names = (*(str(i) for i in range(self.num_values)), "other", "missing")
        return tuple(f"raw:{self.column}:{name}" for name in ((*names, "value") if self.has_value else names))


class RawFeatures:
    """Raw features for the present columns of one view.

    Shape: codes of all C columns -> float32 [B, W].

    Piecewise-linear encoding after arXiv 2203.05556, §3.2: bin j holds how much of it lies below the value. Where
    `has_values` (layout version 2), a number is there as itself too, by its column's mean and standard deviation. A missing
    number stands at the median, beside its flag.
    """

    def __init__(self, codec: Codec, present: tuple[int, ...], *, has_values: bool) -> None:
        num_others = 3 if has_values else 2  # two flags, and the value
        cap = max(MIN_FEATURES_PER_COLUMN, MAX_RAW_WIDTH // max(len(codec.columns), 1)) - num_others
        self.slots = tuple(_slots(codec.columns[position], cap, has_values) for position in present)
        self.width = sum(slots.width for slots in self.slots)
        self.columns = torch.tensor(present, dtype=torch.int64)
        # Where each packed row puts its 1; the extra slot `width` is cut off afterwards.
        self._one_hot = torch.full((codec.num_embeddings,), self.width, dtype=torch.int64)
        bins: list[tuple[int, int, float, float]] = []  # (feature, present column, first knot, span in knots)
        values: list[tuple[int, int]] = []  # (feature, present column)
        # Standardised value of each packed row and of the row after it, which a fraction leads to.
        heights = torch.zeros(codec.num_embeddings, 2)
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
                if slots.has_value:
                    values.append((start + slots.width - 1, order))
                    at, at_median = _standardised_knots(column)
                    heights[offset:first] = at_median
                    heights[first : first + len(at), 0] = torch.from_numpy(at)
                    heights[first : first + len(at), 1] = torch.from_numpy(np.append(at[1:], at[-1:]))
            start += slots.width
        self._bin_features = torch.tensor([b[0] for b in bins], dtype=torch.int64)
        self._bin_columns = torch.tensor([b[1] for b in bins], dtype=torch.int64)
        self._bin_starts = torch.tensor([b[2] for b in bins], dtype=torch.float32)
        self._bin_spans = torch.tensor([b[3] for b in bins], dtype=torch.float32)
        self._value_features = torch.tensor([v[0] for v in values], dtype=torch.int64)
        self._value_columns = torch.tensor([v[1] for v in values], dtype=torch.int64)
        self._heights = heights
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

    @property
    def kinds(self) -> tuple[FeatureKind, ...]:
        return tuple(kind for slots in self.slots for kind in slots.kinds)

    @property
    def column_of(self) -> torch.Tensor:
        """The column that each feature is of, a position in `slots`, int64 [W]."""
        widths = torch.tensor([slots.width for slots in self.slots], dtype=torch.int64)
        return torch.repeat_interleave(torch.arange(len(self.slots)), widths)

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
        if self._value_features.numel():
            heights = functional.embedding(index.index_select(1, self._value_columns), self._heights)
            low, high = heights.unbind(dim=2)
            fraction = codes.fraction.index_select(1, self.columns[self._value_columns])
            features.index_copy_(1, self._value_features, low + fraction * (high - low))
        return features[:, : self.width]


def _slots(column: CategoricalColumn | ContinuousColumn, cap: int, has_values: bool) -> ColumnSlots:
    if isinstance(column, CategoricalColumn):
        num_values = min(column.num_values, cap, MAX_CATEGORIES_PER_COLUMN)
        return ColumnSlots(column.name, num_values, is_number=False, has_value=False)
    num_bins = min(max(column.num_values - 1, 0), cap)
    return ColumnSlots(column.name, num_bins, is_number=True, has_value=has_values and column.num_values > 1)


def _standardised_knots(column: ContinuousColumn) -> tuple[npt.NDArray[np.float64], float]:
    """The knots [K] and the median in standard deviations from the mean, at most MAX_DEVIATIONS away.

    Mean and deviation are those of the fitted rows as far as the codec knows them, each row at the middle of its interval,
    and with tails drawn in: the outermost interval may reach a thousand times further than the rows in it.
    """
    knots = np.asarray(column.knots, dtype=np.float64)
    scaled = knots / max(float(np.abs(knots).max()), 1e-300)  # so that squares of huge numbers stay finite
    mass = np.asarray(column.frequencies, dtype=np.float64)
    median = float(np.interp(column.median_position, np.arange(len(scaled)), scaled))
    below = np.cumsum(mass) - mass
    reach = 2.0 * (scaled[np.searchsorted(below, [TAIL, 1.0 - TAIL], side="right") - 1] - median)
    low, high = median + reach
    drawn_in = np.clip(scaled, low if low < median else scaled[0], high if high > median else scaled[-1])
    middles = np.append((drawn_in[:-1] + drawn_in[1:]) / 2, drawn_in[-1])
    mean = float(mass @ middles)
    deviation = float(np.sqrt(mass @ np.square(middles - mean)))
    standardised = (np.append(drawn_in, median) - mean) / max(deviation, 1e-12)
    heights = np.clip(standardised, -MAX_DEVIATIONS, MAX_DEVIATIONS)
    return heights[:-1], float(heights[-1])


def _bin_edges(column: ContinuousColumn, num_bins: int) -> list[int]:
    """Knots that bound the bins: all of them, or `num_bins` + 1 spread evenly where the width is capped."""
    if num_bins == 0:
        return []
    last = column.num_values - 1
    return [round(i * last / num_bins) for i in range(num_bins + 1)]
