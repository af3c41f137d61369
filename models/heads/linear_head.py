"""The fitted linear head: one matrix over the row features, and what makes its outputs probabilities or intervals.

Shape letters: `B` rows, `F` row features of the view, `O` outputs, `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack, unpack
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import FloatArray, Inputs, RowFeaturesPass, words_of
from models.heads.scoring import FinishesScores

MAX_WEIGHT_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead(FinishesScores):
    """A linear map of row features, finished into probabilities or a value with its interval.

    Shape: `weight` [O, F], `bias` [O], float32; O is 1 for binary and regression, K for multiclass.

    >>> head = LinearHead(Task.BINARY, ("No", "Yes"), (), "", torch.zeros(1, 3), torch.zeros(1))
    >>> head.finish((torch.zeros(2, 1),)).probabilities.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    weight: torch.Tensor
    bias: torch.Tensor
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "linear"

    @property
    def needs(self) -> tuple[RowFeaturesPass]:
        return (RowFeaturesPass(self.weight, self.bias),)

    @property
    def num_bytes(self) -> int:
        return self.weight.nbytes + self.bias.nbytes

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits or values float64 [B, O]."""
        (logits,) = inputs
        return logits.detach().numpy().astype(np.float64)

    def to_files(self) -> dict[str, bytes]:
        """`head.json` and `head.safetensors`."""
        tensors = {"weight": self.weight, "bias": self.bias, **self.finishing.tensors()}
        header: dict[str, object] = {
            **words_of(self),
            **self.finishing.header(),
        }
        return pack(self.kind, header, tensors)

    @classmethod
    def from_files(cls, files: dict[str, bytes]) -> LinearHead:
        """Raises: BundleError when the files are damaged, swapped or of an unknown format version."""
        return cls.from_parts(unpack(files))

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> LinearHead:
        """Raises: BundleError when header and tensors do not fit together."""
        weight, bias = parts.linear_map("weight", "bias")
        return cls(
            parts.task,
            parts.classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            weight,
            bias,
            Finishing.from_parts(parts),
        )
