"""`zero_shot`: what pretraining alone says about a feature column, before any label is fitted.

Shape letters: `K` classes of the target, `V` values of the column in the codec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import torch
from pydantic import BaseModel, ConfigDict

from models.errors import InputError
from models.features.codec import CategoricalColumn, ContinuousColumn
from models.features.codec_columns import canonical_text
from models.features.schema import JsonScalar, Task
from models.heads.prediction import FloatArray
from models.heads.problem import GuessedColumn, HeadFit, HeadProblem
from models.heads.zero_shot_head import ValueTable, ZeroShotHead
from models.layers.column_outputs import NUM_EXTRA_CLASSES

NOT_PRETRAINED = "not_pretrained_column"


class ZeroShotHeadConfig(BaseModel):
    """The encoder's own guess of the target's column, hidden from it. Needs no labels and has no options.

    The target must be a feature column of the encoder, pretrained with masked columns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["zero_shot"] = "zero_shot"
    learns_from_labels: ClassVar[bool] = False

    def fit(self, problem: HeadProblem) -> HeadFit:
        """Nothing is fitted: classes or numbers of the target are found among the column's values.

        Raises:
            Interrupted: the caller asked to stop.
            InputError: the encoder has no guess of the target's column (`not_pretrained_column`), knows fewer than two of
                its classes (`unknown_classes`), or its values are no numbers (`task_mismatch`).
        """
        problem.pace.check()
        if problem.guessed is None:
            raise InputError(
                "The encoder has no guess of this target: zero_shot needs a target that is a feature column of the "
                "encoder. Ask for the head kind linear, or pretrain with the column as a feature.",
                code=NOT_PRETRAINED,
            )
        column = problem.guessed.column
        positions = np.empty(0, dtype=np.int64)
        warnings: list[str] = []
        values: ValueTable | None = None
        if problem.task is Task.REGRESSION:
            positions, values = _numbers(problem.guessed)
        else:
            positions, warnings = _classes(problem.classes or (), column)
        head = ZeroShotHead(
            problem.task,
            problem.classes,
            problem.view,
            problem.encoder_fingerprint,
            column.name,
            torch.from_numpy(positions),
            values,
        )
        report: dict[str, object] = {
            "hidden_column": column.name,
            "num_known_values": int((positions >= 0).sum()),
        }
        return HeadFit(head, None, np.empty(0, dtype=np.int64), report, tuple(warnings))


def _classes(
    classes: Sequence[JsonScalar], column: CategoricalColumn | ContinuousColumn
) -> tuple[np.ndarray, list[str]]:
    """Output of each class, int64 [K], -1 where the encoder never learned it; and what to say about those."""
    if isinstance(column, CategoricalColumn):
        names = canonical_text(pl.Series("class", list(classes)), column.storage_type).to_list()
        places: dict[object, int] = {category: i for i, category in enumerate(column.categories)}
    else:
        names = [_number(value) for value in classes]
        places = {knot: i for i, knot in enumerate(column.knots)}
    found = [places.get(name, -1) for name in names]
    known = sum(place >= 0 for place in found)
    if known < 2:
        raise InputError(
            f"The encoder learned {known} of the {len(classes)} classes of this target as values of its column; "
            "zero_shot needs two. Ask for the head kind linear, or for the task regression if they are numbers.",
            code="unknown_classes",
        )
    warnings = []
    if known < len(found):
        warnings.append(
            f"{len(found) - known} of {len(found)} classes are not among the values that the encoder tells apart (too rare in "
            "pretraining, or too many), and get probability 0"
        )
    positions = np.array(found, dtype=np.int64)
    return np.where(positions >= 0, positions + NUM_EXTRA_CLASSES, -1), warnings


def _numbers(guessed: GuessedColumn) -> tuple[np.ndarray, ValueTable]:
    """Output of each value, int64 [V], and the numbers they stand for, in increasing order."""
    column = guessed.column
    if isinstance(column, ContinuousColumn):
        lows = np.asarray(column.knots, dtype=np.float64)
        with np.errstate(over="ignore"):
            widths = np.diff(lows, append=lows[-1:])
        widths = np.where(np.isfinite(widths), widths, 0.0)
        means = lows + guessed.inside * widths
        highs = np.where(guessed.inside > 0.0, lows + widths, lows)
    else:
        numbers = [_number(category) for category in column.categories]
        if any(number is None for number in numbers):
            raise InputError(
                f"{sum(number is None for number in numbers)} of the {len(numbers)} values that the encoder learned of "
                "this target's column are no numbers; zero_shot cannot average them. Ask for the head kind linear.",
                code="task_mismatch",
            )
        lows = means = highs = np.asarray(numbers, dtype=np.float64)
    if len(lows) == 0:
        raise InputError(
            "The encoder learned no value of this target's column: it was empty in pretraining, or no value came twice.",
            code=NOT_PRETRAINED,
        )
    order = np.argsort(lows, kind="stable")
    table = ValueTable(*(torch.from_numpy(part[order].copy()) for part in (means, lows, highs)))
    return order.astype(np.int64) + NUM_EXTRA_CLASSES, table


def _number(value: JsonScalar) -> float | None:
    """A class or category as a number: booleans are 0 and 1."""
    if isinstance(value, str) and value in ("true", "false"):
        return float(value == "true")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if np.isfinite(number) else None


def inside_of(
    column: CategoricalColumn | ContinuousColumn, codes: torch.Tensor, fractions: torch.Tensor
) -> FloatArray:
    """Mean way from a knot to the next [V], from codes int [N] counted from the first value and fractions [N].

    Bins without a sample are taken for evenly filled, unless no number of the column lies between two knots.
    """
    num_values = column.num_values
    if isinstance(column, CategoricalColumn) or not bool((fractions > 0).any()):
        return np.zeros(num_values)
    observed = codes >= 0
    index, way = codes[observed].numpy(), fractions[observed].numpy().astype(np.float64)
    counts = np.bincount(index, minlength=num_values)
    sums = np.bincount(index, weights=way, minlength=num_values)
    inside = np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)
    inside[-1:] = 0.0  # nothing lies above the last knot
    return inside
