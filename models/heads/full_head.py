"""The fitted head that brings an encoder of its own. `B` rows, `F` row features of the view, `O` outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import FloatArray, Inputs, TunedEncoderPass, words_of
from models.heads.scoring import FinishesScores

FULL = "full"
PREFIX = "encoder."


@dataclass(frozen=True, slots=True, eq=False)
class FullHead(FinishesScores):
    """A linear map of row features made with tuned encoder weights, finished into probabilities or a value.

    Shape: `tuned.weight` [O, F], `tuned.bias` [O]; O is 1 for binary and regression, one per class for multiclass.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    tuned: TunedEncoderPass
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return FULL

    @property
    def needs(self) -> tuple[TunedEncoderPass]:
        return (self.tuned,)

    @property
    def num_bytes(self) -> int:
        return self.tuned.num_bytes

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits or values float64 [B, O]."""
        (logits,) = inputs
        return logits.detach().numpy().astype(np.float64)

    def to_files(self) -> dict[str, bytes]:
        """`head.json` and `head.safetensors`; the encoder's weights under `encoder.…`."""
        header: dict[str, object] = {
            **words_of(self),
            **self.finishing.header(),
        }
        encoder = {f"{PREFIX}{name}": tensor for name, tensor in self.tuned.encoder.items()}
        own = {"weight": self.tuned.weight, "bias": self.tuned.bias}
        return pack(self.kind, header, own | encoder | self.finishing.tensors())

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> FullHead:
        """Raises: BundleError when header and tensors do not fit together."""
        weight, bias = parts.linear_map("weight", "bias")
        encoder = {
            name.removeprefix(PREFIX): parts.tensor(name, torch.float32, tensor.dim())
            for name, tensor in parts.tensors.items()
            if name.startswith(PREFIX)
        }
        if not encoder:
            raise BundleError("the head lacks the weights of its encoder; fit it again")
        return cls(
            parts.task,
            parts.classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            TunedEncoderPass(encoder, weight, bias),
            Finishing.from_parts(parts),
        )
