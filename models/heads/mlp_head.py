"""The fitted network of one hidden layer: a product of the row features, and a small one of what it leaves above zero.

Shape letters: `B` rows, `F` row features of the view, `H` hidden units, `O` outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import FloatArray, Inputs, RowFeaturesPass, words_of
from models.heads.scoring import FinishesScores


@dataclass(frozen=True, slots=True, eq=False)
class MLPHead(FinishesScores):
    """Hidden units over row features (rectified), and outputs over hidden units.

    Shape: `hidden_weight` [H, F] and `hidden_bias` [H], on raw row features; `weight` [O, H] and `bias` [O]; float32.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    hidden_weight: torch.Tensor
    hidden_bias: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "mlp"

    @property
    def needs(self) -> tuple[RowFeaturesPass]:
        return (RowFeaturesPass(self.hidden_weight, self.hidden_bias),)

    @property
    def num_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.hidden_weight, self.hidden_bias, self.weight, self.bias))

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits or values float64 [B, O], row by row: a product would depend on how many rows there are."""
        (units,) = inputs
        raised = np.maximum(units.detach().numpy().astype(np.float64), 0.0)
        found = np.empty((len(raised), len(self.bias)))
        for output, (weight, bias) in enumerate(
            zip(self.weight.double().numpy(), self.bias.double().numpy(), strict=True)
        ):
            found[:, output] = (raised * weight).sum(axis=1) + bias
        return found

    def to_files(self) -> dict[str, bytes]:
        """`head.json` and `head.safetensors`."""
        header: dict[str, object] = {**words_of(self), **self.finishing.header()}
        tensors = {
            "hidden_weight": self.hidden_weight,
            "hidden_bias": self.hidden_bias,
            "weight": self.weight,
            "bias": self.bias,
        }
        return pack(self.kind, header, tensors | self.finishing.tensors())

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> MLPHead:
        """Raises: BundleError when header and tensors do not fit together."""
        weight, bias = parts.linear_map("weight", "bias")
        hidden_weight = parts.tensor("hidden_weight", torch.float32, 2)
        hidden_bias = parts.tensor("hidden_bias", torch.float32, 1)
        if not len(hidden_weight) == len(hidden_bias) == weight.shape[1]:
            raise BundleError(
                f"the head's {len(hidden_weight)} hidden units have {len(hidden_bias)} biases and "
                f"{weight.shape[1]} weights; fit it again"
            )
        return cls(
            parts.task,
            parts.classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            hidden_weight,
            hidden_bias,
            weight,
            bias,
            Finishing.from_parts(parts),
        )
