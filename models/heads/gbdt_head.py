"""The fitted head of boosted trees. `B` rows, `C` columns of the view, `k` components, `O` outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.boosting import Trees
from models.heads.files import HeadFiles, pack
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import ColumnValuesPass, FloatArray, HeadPrediction, Inputs, RowFeaturesPass

TREES_NAME = "trees.txt"
MAX_TREES_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class GbdtHead:
    """Trees over the columns of the view as numbers and, where `components` is there, a few directions of the embedding.

    Shape: `components.weight` [k, F], `components.bias` [k]. The trees read [C + k] numbers.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    num_columns: int
    trees: Trees
    components: RowFeaturesPass | None = None
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "gbdt"

    @property
    def needs(self) -> tuple[ColumnValuesPass | RowFeaturesPass, ...]:
        columns = ColumnValuesPass()
        return (columns,) if self.components is None else (columns, self.components)

    @property
    def num_bytes(self) -> int:
        components = self.components
        held = 0 if components is None else components.weight.nbytes + components.bias.nbytes
        return held + len(self.trees.text)

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits, log-probabilities or values float64 [B, O]."""
        if inputs[0].shape[1] != self.num_columns:
            raise BundleError(
                f"a gbdt head expects {self.num_columns} columns, the encoder gives {inputs[0].shape[1]}; fit it again",
                code="head_does_not_fit",
            )
        return self.trees.scores(tree_inputs(inputs))

    def finish(self, inputs: Inputs, coverage: float = 0.9) -> HeadPrediction:
        """Inputs to predictions, each row by itself.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """
        return self.finishing.apply(self.task, self.scores(inputs), coverage)

    def to_files(self) -> dict[str, bytes]:
        """`head.json`, `head.safetensors` and `trees.txt`, the trees in LightGBM's own format."""
        header: dict[str, object] = {
            "task": str(self.task),
            "classes": None if self.classes is None else list(self.classes),
            "view": list(self.view),
            "encoder_fingerprint": self.encoder_fingerprint,
            "num_columns": self.num_columns,
            "present": list(self.trees.present),
            "absent_score": self.trees.absent_score,
            **self.finishing.header(),
        }
        tensors = dict(self.finishing.tensors())
        if self.components is not None:
            tensors |= {"components": self.components.weight, "components_bias": self.components.bias}
        return {**pack(self.kind, header, tensors), TREES_NAME: self.trees.text.encode()}

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> GbdtHead:
        """Raises: BundleError when header, tensors and trees do not fit together."""
        task, classes = parts.task, parts.classes
        components = None
        if "components" in parts.tensors:
            components = RowFeaturesPass(
                parts.tensor("components", torch.float32, 2),
                parts.tensor("components_bias", torch.float32, 1),
            )
            if len(components.weight) != len(components.bias):
                raise BundleError("the head's components have not one bias each; fit it again")
        present = tuple(int(number) for number in parts.numbers("present"))
        num_classes = len(classes or ())
        if task is Task.MULTICLASS and not set(present) <= set(range(num_classes)):
            raise BundleError("the head's trees are of classes that it does not have; fit it again")
        text = parts.file(TREES_NAME, MAX_TREES_BYTES).decode("ascii", errors="replace")
        trees = Trees.from_text(task, num_classes, present, parts.number("absent_score"), text)
        num_columns = parts.integer("num_columns")
        expected = num_columns + (0 if components is None else len(components.bias))
        if trees.booster.num_feature() != max(expected, 1):
            raise BundleError(
                f"the head's trees read {trees.booster.num_feature()} numbers, the head has {expected}; fit it again"
            )
        return cls(
            task,
            classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            num_columns,
            trees,
            components,
            Finishing.from_parts(parts),
        )


def tree_inputs(inputs: Inputs) -> np.ndarray:
    """Numbers float32 [B, C + k] that trees read, of the column values [B, C] and the components [B, k] if any.

    A constant where there are none: LightGBM refuses a table without columns.
    """
    numbers = torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0]
    if numbers.shape[1] == 0:
        numbers = torch.zeros(len(numbers), 1)
    return numbers.detach().numpy()
