"""What every encoder is. `B` rows, `C'` present columns, `D` width, `M` summary tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import nn

from models.features.codec import Codec
from models.features.schema import TableSchema
from models.layers.gather import gather_rows


class Encoded(NamedTuple):
    """What an encoder makes of rows.

    Shape: `cls` float32 [B, D]; `tokens` float32 [B, C', D], one per present column; `summary` float32 [B, M, D], what
    stands for the columns in row features where that is not the tokens themselves (wide tables, say), else None.
    """

    cls: torch.Tensor
    tokens: torch.Tensor
    summary: torch.Tensor | None

    @property
    def context(self) -> torch.Tensor:
        """What stands for the columns in row features, float32 [B, `num_context_tokens`, D]."""
        return self.tokens if self.summary is None else self.summary


class Encoder(nn.Module, ABC):
    """Codes of the present columns to one contextual token per column and one for the row.

    A row's output depends on nothing but that row. Absent columns are left out of `columns` by the caller.
    """

    d_model: int
    min_rows: int = 2
    """Passes of fewer rows are padded: below, matrix kernels take other paths and the last bits change."""

    @cached_property
    def longest_sum(self) -> int:
        """Terms of the longest sum among the products of a pass."""
        return max(
            (module.in_features for module in self.modules() if isinstance(module, nn.Linear)), default=0
        )

    @abstractmethod
    def forward(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> Encoded:
        """Encode rows.

        Shape: `codes_index` int [B, C'], `codes_fraction` float32 [B, C'], `columns` int64 [C'], strictly
        increasing positions in the codec -> `Encoded`. C' may be 0. Codes are on the encoder's device; `columns` better
        on the CPU, where their number is read without waiting for a GPU.
        """

    def encode_cells(
        self,
        codes_index: torch.Tensor,
        codes_fraction: torch.Tensor,
        columns: torch.Tensor,
        cells: torch.Tensor,
    ) -> torch.Tensor:
        """Tokens of some cells, for losses that need no others: what is left out of the last layer need not be computed.

        Shape: the first three as in `forward`; `cells` int64 [...], each `row * C' + place` of its column among
        `columns` -> float32 [..., D], equal to `forward`'s up to rounding.
        """
        return gather_rows(self(codes_index, codes_fraction, columns).tokens.flatten(0, 1), cells)

    @abstractmethod
    def num_context_tokens(self, columns: Sequence[int]) -> int:
        """How many tokens stand for the present columns, at these positions, in row features."""

    @abstractmethod
    def freeze(self) -> Encoder:
        """Switch to inference for good: no gradients, everything derived from weights alone computed once."""


def count_before(columns: torch.Tensor, position: int) -> int:
    """How many of `columns` int64 [C'], positions in the codec, come before `position`."""
    return int((columns < position).sum())


class EncoderBuilder(Protocol):
    """An encoder's configuration: validated, serialisable, and able to build the module."""

    kind: str

    def check_schema(self, schema: TableSchema) -> None:
        """Refuse what the kinds of the columns alone rule out.

        Raises:
            EncoderError: the architecture cannot fit the table.
        """

    def build(self, codec: Codec, *, generator: torch.Generator) -> Encoder:
        """A freshly initialised encoder.

        Raises:
            EncoderError: the architecture does not fit the table.
        """


def check_heads_divide_width(d_model: int, num_heads: int) -> None:
    """Of every architecture with attention. Raises: ValueError, as a validator of a configuration does."""
    if d_model % num_heads:
        raise ValueError(f"d_model must be a multiple of num_heads; received {d_model} and {num_heads}.")
