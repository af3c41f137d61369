"""What every encoder is. `B` rows, `C'` present columns, `D` width, `M` latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import torch
from torch import nn

from models.features.codec import Codec


class Encoded(NamedTuple):
    """What an encoder makes of rows.

    Shape: `cls` float32 [B, D]; `tokens` float32 [B, C', D]; `latents` float32 [B, M, D] where the architecture
    summarises a wide table, else None.
    """

    cls: torch.Tensor
    tokens: torch.Tensor
    latents: torch.Tensor | None


class Encoder(nn.Module, ABC):
    """Codes of the present columns to one contextual token per column and one for the row.

    A row's output depends on nothing but that row. Absent columns are left out of `columns` by the caller.
    """

    d_model: int

    @abstractmethod
    def forward(
        self, codes_index: torch.Tensor, codes_fraction: torch.Tensor, columns: torch.Tensor
    ) -> Encoded:
        """Encode rows.

        Shape: `codes_index` int [B, C'], `codes_fraction` float32 [B, C'], `columns` int64 [C'], strictly
        increasing positions in the codec -> `Encoded`. C' may be 0.
        """

    @abstractmethod
    def num_context_tokens(self, num_columns: int) -> int:
        """How many tokens stand for `num_columns` present columns in row features: C', or M for latents."""

    @abstractmethod
    def freeze(self) -> Encoder:
        """Switch to inference for good: no gradients, everything derived from weights alone computed once."""


class EncoderBuilder(Protocol):
    """An encoder's configuration: validated, serialisable, and able to build the module."""

    kind: str

    def build(self, codec: Codec, *, generator: torch.Generator) -> Encoder:
        """A freshly initialised encoder.

        Raises:
            EncoderError: the architecture does not fit the table.
        """
