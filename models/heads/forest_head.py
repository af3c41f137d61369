"""The fitted head of a random forest. `B` rows, `C` columns of the view, `K` classes, `O` outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.errors import BundleError
from models.features.schema import JsonScalar, Task
from models.heads.files import HeadFiles, pack_with
from models.heads.finishing import NOT_FINISHED, Finishing
from models.heads.prediction import ColumnValuesPass, FloatArray, Inputs, words_of
from models.heads.random_forest import RandomForest
from models.heads.scoring import FinishesScores

FOREST_NAME = "forest.treelite"
MAX_FOREST_BYTES = 256 << 20
MISSING = -1.0  # below every position and every code: trees can tell it apart
_OWN_SHARE = 5.0 / 6.0


@dataclass(frozen=True, slots=True, eq=False)
class ForestHead(FinishesScores):
    """The mean answer of many trees over the columns of the view as numbers.

    `base` [K] are the shares of the classes among the labels, to which a forest that is all too sure is drawn; None for
    regression. `present` are the classes that the forest tells apart. Numbers were fitted less `centre` and by `spread`.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    num_columns: int
    base: tuple[float, ...] | None
    present: tuple[int, ...]
    forest: RandomForest
    centre: float = 0.0
    spread: float = 1.0
    finishing: Finishing = NOT_FINISHED

    @property
    def kind(self) -> str:
        return "forest"

    @property
    def needs(self) -> tuple[ColumnValuesPass]:
        return (ColumnValuesPass(),)

    @property
    def num_bytes(self) -> int:
        return self.forest.num_bytes

    def scores(self, inputs: Inputs) -> FloatArray:
        """Logits, log-probabilities or values float64 [B, O]."""
        (values,) = inputs
        if values.shape[1] != self.num_columns:
            raise BundleError(
                f"a forest head expects {self.num_columns} columns, the encoder gives {values.shape[1]}; fit it again",
                code="head_does_not_fit",
            )
        if len(values) == 0:
            return np.empty((0, len(self.base or ()) if self.task is Task.MULTICLASS else 1))
        found = self.forest.answers(forest_inputs(values))
        if self.base is None:
            return found * self.spread + self.centre
        answers = np.zeros((len(values), len(self.base)))
        answers[:, list(self.present)] = found
        return forest_scores(self.task, answers, self.base)

    def to_files(self) -> dict[str, bytes]:
        """`head.json`, `head.safetensors` and `forest.treelite`."""
        header: dict[str, object] = {
            **words_of(self),
            "num_columns": self.num_columns,
            "base": None if self.base is None else list(self.base),
            "present": list(self.present),
            "label_centre": self.centre,
            "label_spread": self.spread,
            **self.finishing.header(),
        }
        return pack_with(self.kind, header, self.finishing.tensors(), {FOREST_NAME: self.forest.content})

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> ForestHead:
        """Raises: BundleError when header and forest do not fit together."""
        base = None if parts.task is Task.REGRESSION else parts.numbers("base")
        if base is not None and (len(base) != len(parts.classes or ()) or min(base) < 0.0):
            raise BundleError("the head's shares of classes do not fit its classes; fit it again")
        present = tuple(int(number) for number in parts.numbers("present"))
        if not set(present) <= set(range(len(base or ()))):
            raise BundleError("the head's forest is of classes that it does not have; fit it again")
        num_columns = parts.integer("num_columns")
        forest = RandomForest.from_bytes(parts.file(FOREST_NAME, MAX_FOREST_BYTES))
        if forest.num_columns != max(num_columns, 1):
            raise BundleError(
                f"the head's forest reads {forest.num_columns} numbers, the head has {num_columns}; fit it again"
            )
        return cls(
            parts.task,
            parts.classes,
            parts.view,
            parts.text("encoder_fingerprint"),
            num_columns,
            base,
            present,
            forest,
            parts.number("label_centre", 0.0),
            parts.number("label_spread", 1.0),
            Finishing.from_parts(parts),
        )


def forest_inputs(values: torch.Tensor) -> npt.NDArray[np.float32]:
    """Numbers float32 [B, C] as a forest reads them: missing ones below all others, a constant where there is no column."""
    numbers = values.nan_to_num(nan=MISSING) if values.shape[1] else torch.zeros(len(values), 1)
    return np.asarray(numbers.detach().numpy(), dtype=np.float32)


def forest_scores(task: Task, answers: FloatArray, base: tuple[float, ...] | None) -> FloatArray:
    """Mean answers of the trees, probabilities [B, K] or values [B, 1], as scores [B, O].

    Probabilities are drawn to the shares of the classes by one part in six: a forest's 0 and 1 are those of few trees.
    """
    if task is Task.REGRESSION or base is None:
        return answers
    smoothed = _OWN_SHARE * answers + (1.0 - _OWN_SHARE) * np.asarray(base)
    logs = np.log(np.maximum(smoothed, 1e-6))
    return np.asarray(logs[:, 1:] - logs[:, :1]) if task is Task.BINARY else np.asarray(logs)
