"""What every pretraining objective is. `B` rows, `C` columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import torch
from torch import nn

from models.encoders import Encoder
from models.features.codec import Codec, Codes
from models.layers.column_outputs import ColumnOutputs


class Objective(nn.Module, ABC):
    """A loss on unlabelled rows, with the output layers it needs.

    The encoder is an argument, not a part: several objectives train one encoder. It and the objective are on one
    device. Random draws come from the generator passed in, on whichever device that is.
    """

    @property
    def column_outputs(self) -> ColumnOutputs | None:
        """Classifiers of hidden columns, which an encoder keeps for prediction; None where the objective has none."""
        return None

    @abstractmethod
    def loss(
        self,
        encoder: Encoder,
        codes_index: torch.Tensor,
        codes_fraction: torch.Tensor,
        *,
        generator: torch.Generator,
    ) -> torch.Tensor:
        """Mean loss of a training batch, float32 scalar, differentiable.

        Shape: `codes_index` int [B, C], `codes_fraction` float32 [B, C], all columns of the codec, on the encoder's
        device.
        """

    @abstractmethod
    def held_out_loss(self, encoder: Encoder, codes: Codes, *, seed: int) -> float:
        """Mean loss in nats on held-out rows; the same draws for the same seed, so values can be compared."""

    @abstractmethod
    def column_report(
        self, encoder: Encoder, codec: Codec, codes: Codes, *, seed: int, max_tokens: int | None = None
    ) -> dict[str, dict[str, Any]]:
        """What it learned about each column, by name, measured on held-out rows; JSON without NaN.

        About `max_tokens` may go through the encoder for it, where that is given.
        """


class ObjectiveBuilder(Protocol):
    """An objective's configuration: validated, serialisable, and able to build the module."""

    kind: str
    guesses_columns: ClassVar[bool]
    """Whether encoders trained with it keep guesses of hidden columns."""

    def build(self, codec: Codec, encoder: Encoder, *, generator: torch.Generator) -> Objective:
        """A freshly initialised objective for the encoder's width and the codec's columns."""
