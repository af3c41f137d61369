"""What a fine-tune gets and gives: the labels of a target, and the head, judged, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.evaluation.judged import JudgedRows
from models.features.schema import JsonScalar, Task
from models.heads import HeadConfig
from models.heads.decision import DecisionRule
from models.heads.prediction import FittedHead

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TargetData:
    """Labels of one target on rows of a snapshot.

    Shape: `rows` [n] positions in the frame; `values` [n] class index (int64) or number (float64); `weights` [n]
    or None; `evaluation` [n] true where the row is in the evaluation part, whose labels are never fitted.
    `classes` names the class indices; of two, the positive one is last. `view` is the sorted absent columns.
    `column` is the target's own column of the table, if it has one.
    `config` and `seed` are of this target's head alone, where it does not share those of the others. `decision`
    is reported only: nothing that is fitted depends on it.
    """

    name: str
    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64] | npt.NDArray[np.float64]
    evaluation: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64] | None = None
    seen_in_pretraining: bool = False
    column: str | None = None
    config: HeadConfig | None = None
    seed: int | None = None
    decision: DecisionRule | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HeadResult:
    """A fitted head with everything that is said about it; all dictionaries are JSON without NaN."""

    name: str
    head: FittedHead
    metrics: JsonObject
    baselines: JsonObject
    verdict: str
    warnings: list[str]
    beats_constant: bool
    report: JsonObject
    judged: tuple[JudgedRows, ...] = field(default=())

    def to_files(self) -> dict[str, bytes]:
        """The head bundle: the head's files and, for later comparisons, the rows it was judged on."""
        return {
            **self.head.to_files(),
            **{f"judged_{part.on}.safetensors": part.to_bytes() for part in self.judged},
        }


@dataclass(frozen=True, slots=True)
class HeadFailure:
    """Why a target got no head; `code` and `message` as in `models.errors`, safe to show."""

    name: str
    code: str
    message: str
