"""What a head kind is given to fit, and what it gives back.

Shape letters: `n` fitted rows, `m` rows judged out of fold, `F` row features, `K` classes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from models.encoders.tuning import TunableEncoder
from models.errors import Interrupted
from models.features.codec import CodecColumn
from models.features.column_values import ColumnValues
from models.features.schema import JsonScalar, Task
from models.heads.folds import Folds
from models.heads.prediction import FittedHead, FloatArray, IndexArray
from models.heads.scaling import FeatureScaling
from models.progress import Progress, ShouldStop, never_stop, no_progress


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the work may take, who hears of it, and who may stop it. Times are `time.monotonic` seconds."""

    deadline: float = float("inf")
    progress: Progress = no_progress
    should_stop: ShouldStop = never_stop

    @property
    def seconds_left(self) -> float:
        return self.deadline - time.monotonic()

    def check(self) -> None:
        """Raises: Interrupted once the caller asked to stop."""
        if self.should_stop():
            raise Interrupted(
                "stopped while fitting heads; nothing was published, ask for the fine-tune again"
            )


@dataclass(frozen=True, slots=True, eq=False)
class GuessedColumn:
    """The target's own column as the encoder was pretrained on it.

    Shape: `inside` [V], per value of the column how far, on average, numbers of that bin are on their way to the next
    knot (0 where the value stands for itself, as categories do).
    """

    column: CodecColumn
    inside: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class HeadProblem:
    """The labelled rows of one target, all of the train part.

    Shape: `features` [n, F] float32, as the encoder gives them; `columns` the same rows as plain numbers; `labels` [n],
    class index or number; `weights` [n] positive, of mean 1. `folds` is None where the labels are too few to be divided.
    `guessed` is there for kinds that do not learn from labels; for them n is 0. `plain_scaling`, for kinds that fit it
    too, leaves the straight lines and levels of columns alone (`FeatureScaling.of_columns`). `tunable` has the same n
    rows, for kinds that change the encoder.
    """

    task: Task
    classes: tuple[JsonScalar, ...] | None
    view: tuple[str, ...]
    encoder_fingerprint: str
    features: torch.Tensor
    columns: ColumnValues
    scaling: FeatureScaling
    labels: FloatArray
    weights: FloatArray
    folds: Folds | None
    pace: Pace = field(default_factory=Pace)
    guessed: GuessedColumn | None = None
    plain_scaling: FeatureScaling | None = None
    tunable: TunableEncoder | None = None

    @property
    def num_outputs(self) -> int:
        return len(self.classes) if self.task is Task.MULTICLASS and self.classes is not None else 1


@dataclass(frozen=True, slots=True, eq=False)
class HeadFit:
    """A fitted head and its out-of-fold outputs.

    Shape: `out_of_fold` [m, K] probabilities or [m] values for the rows `folds.rows` [m] of the problem; `scores` [m, O]
    what they were made from, of kinds that can be averaged. None where there are no folds.
    """

    head: FittedHead
    out_of_fold: FloatArray | None
    judged: IndexArray
    report: dict[str, object]
    warnings: tuple[str, ...] = ()
    scores: FloatArray | None = None
