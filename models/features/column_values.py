"""Columns of a view as plain numbers, for models that are no encoder: codes say all that trees can use of a value.

Shape letters: `B` rows, `C'` columns of the codec that the view leaves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch

from models.features.codec import NUM_SPECIAL_CODES, Codec, Codes, SpecialCode


@dataclass(frozen=True, slots=True, eq=False)
class ColumnValues:
    """Shape: `values` float32 [B, C'], categorical columns first, `num_categorical` of them.

    A category is its code in its column, from 0; missing and unknown have codes of their own. A number is its position
    among the codec's knots, which keeps the order of values (between the outermost knots); NaN where missing or unreadable.
    """

    values: torch.Tensor
    num_categorical: int

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def of(cls, codes: Codes, codec: Codec, view: Collection[str]) -> ColumnValues:
        """Of the rows of `codes`, without the columns whose source is in `view`; row by row."""
        absent = frozenset(view)
        present = [position for position, source in enumerate(codec.source_of) if source not in absent]
        columns = torch.tensor(present, dtype=torch.int64)
        index = codes.index.index_select(1, columns) - codec.offsets[columns].to(codes.index.dtype)
        num_categorical = sum(position < codec.num_categorical for position in present)
        values = torch.empty(index.shape, dtype=torch.float32)
        values[:, :num_categorical] = (index[:, :num_categorical] - int(SpecialCode.MISSING)).clamp(min=0)
        numbers = index[:, num_categorical:]
        fraction = codes.fraction.index_select(1, columns[num_categorical:])
        values[:, num_categorical:] = (numbers - NUM_SPECIAL_CODES + fraction).masked_fill(
            numbers < NUM_SPECIAL_CODES, float("nan")
        )
        return cls(values, num_categorical)
