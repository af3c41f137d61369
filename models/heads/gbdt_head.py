"""The fitted head of boosted trees. `B` rows, `C` columns of the view, `F` row features, `O` outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.boosting import Trees
from models.heads.files import HeadFiles, pack_with
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import (
    ColumnValuesPass,
    FloatArray,
    Inputs,
    RowFeaturesPass,
    words_of,
)
from models.heads.scoring import FinishesScores

TREES_NAME = "trees.txt"
MAX_TREES_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class GbdtHead(FinishesScores):
    """Trees over the columns of the view as numbers; where `offset` is there, they correct a linear head.

    Shape: `offset.weight` [O, F], `offset.bias` [O]: the linear head's calibrated logits, which the trees are added to.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    num_columns: int
    trees: Trees
    offset: RowFeaturesPass | None = None
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "gbdt"

    @property
    def needs(self) -> tuple[ColumnValuesPass | RowFeaturesPass, ...]:
        columns = ColumnValuesPass()
        return (columns,) if self.offset is None else (columns, self.offset)

    @property
    def num_bytes(self) -> int:
        offset = self.offset
        held = 0 if offset is None else offset.weight.nbytes + offset.bias.nbytes
        return held + 2 * len(self.trees.text)

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits, log-probabilities or values float64 [B, O]."""
        if inputs[0].shape[1] != self.num_columns:
            raise BundleError(
                f"a gbdt head expects {self.num_columns} columns, the encoder gives {inputs[0].shape[1]}; fit it again",
                code="head_does_not_fit",
            )
        values = tree_inputs(inputs[0])
        if self.offset is None:
            return self.trees.scores(values)
        start = inputs[1].detach().numpy().astype(np.float64)
        return np.asarray(start + self.trees.sums(values))

    def to_files(self) -> dict[str, bytes]:
        """`head.json`, `head.safetensors` and `trees.txt`, the trees in LightGBM's own format."""
        header: dict[str, object] = {
            **words_of(self),
            "num_columns": self.num_columns,
            "present": list(self.trees.present),
            "absent_score": self.trees.absent_score,
            "label_centre": self.trees.centre,
            "label_spread": self.trees.spread,
            **self.finishing.header(),
        }
        tensors = dict(self.finishing.tensors())
        if self.offset is not None:
            tensors |= {"offset": self.offset.weight, "offset_bias": self.offset.bias}
        return pack_with(self.kind, header, tensors, {TREES_NAME: self.trees.text.encode()})

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> GbdtHead:
        """Raises: BundleError when header, tensors and trees do not fit together."""
        task, classes = parts.task, parts.classes
        offset: RowFeaturesPass | None = None
        if "offset" in parts.tensors:
            offset = RowFeaturesPass(*parts.linear_map("offset", "offset_bias"))
        present = tuple(int(number) for number in parts.numbers("present"))
        num_classes = len(classes or ())
        if task is Task.MULTICLASS and not set(present) <= set(range(num_classes)):
            raise BundleError("the head's trees are of classes that it does not have; fit it again")
        text = parts.file(TREES_NAME, MAX_TREES_BYTES).decode("ascii", errors="replace")
        trees = Trees.from_text(
            task,
            num_classes,
            present,
            parts.number("absent_score"),
            text,
            parts.number("label_centre", 0.0),
            parts.number("label_spread", 1.0),
        )
        num_columns = parts.integer("num_columns")
        if trees.booster.num_feature() != max(num_columns, 1):
            raise BundleError(
                f"the head's trees read {trees.booster.num_feature()} numbers, the head has {num_columns}; fit it again"
            )
        if offset is not None and task is Task.MULTICLASS and len(present) != parts.num_outputs:
            raise BundleError("the head's trees correct other classes than it has; fit it again")
        return cls(
            task,
            classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            num_columns,
            trees,
            offset,
            Finishing.from_parts(parts),
        )


def tree_inputs(values: torch.Tensor) -> npt.NDArray[np.float32]:
    """Numbers float32 [B, C] that trees read; a constant where there is no column, which LightGBM would refuse."""
    numbers = values if values.shape[1] else torch.zeros(len(values), 1)
    return np.asarray(numbers.detach().numpy(), dtype=np.float32)
