"""A table's rows as tensors, the form every network here takes.

Shape letters: `b` rows, `c` numbers (continuous columns and indicators of missing values), `m` categorical columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import torch

from benchmarks.quality.systems.columns import FIRST_KNOWN, MISSING, UNSEEN, FittedColumns
from benchmarks.quality.trial import IndexArray, Trial

MAX_CATEGORIES = (
    1_000  # of a column, the most frequent; rarer ones are missing to the network, as unseen ones are
)
MAX_DEVIATIONS = 10.0  # from the mean; what lies farther off is there: a damaged cell must not drown its row


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Shape: numbers float32 [b, c], codes int64 [b, m]; code 0 is a missing value."""

    numbers: torch.Tensor
    codes: torch.Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, positions: torch.Tensor) -> Rows:
        """Rows at `positions`, int64 [b']."""
        return Rows(self.numbers.index_select(0, positions), self.codes.index_select(0, positions))

    def followed_by(self, other: Rows) -> Rows:
        return Rows(torch.cat([self.numbers, other.numbers]), torch.cat([self.codes, other.codes]))


@dataclass(frozen=True, slots=True)
class RowShape:
    """`code_sizes`: how many codes each categorical column has, the missing one and one never used among them."""

    num_numbers: int
    code_sizes: tuple[int, ...]


class NeuralColumns:
    """Columns standardised and coded by the training rows; a table without columns gets one number, always 0."""

    def __init__(self, trial: Trial) -> None:
        self._columns = FittedColumns.of(trial)
        self._frame = trial.frame
        self.shape = RowShape(
            max(self._columns.num_complete, 0 if self._columns.categorical else 1),
            tuple(min(size, FIRST_KNOWN + MAX_CATEGORIES) for size in self._columns.code_sizes),
        )

    def rows(self, frame: pl.DataFrame) -> Rows:
        numbers = self._columns.complete(frame).clip(-MAX_DEVIATIONS, MAX_DEVIATIONS).astype(np.float32)
        if numbers.shape[1] < self.shape.num_numbers:
            numbers = np.zeros((len(frame), self.shape.num_numbers), dtype=np.float32)
        codes = self._columns.codes(frame)
        is_rare = codes >= np.array(self.shape.code_sizes, dtype=np.int64)
        codes[(codes == UNSEEN) | is_rare] = MISSING
        return Rows(torch.from_numpy(numbers), torch.from_numpy(codes))

    def rows_at(self, positions: IndexArray) -> Rows:
        """Rows of the trial's table."""
        return self.rows(self._frame[positions])
