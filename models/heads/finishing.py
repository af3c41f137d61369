"""What every head that learns from labels does last: scores to probabilities and sets, or to a value and its interval.

One object for all kinds of heads: it is fitted on out-of-fold scores, whatever they come from, applied row by row,
and stored beside the head's own numbers.

Shape letters: `m` rows judged out of fold, `B` rows, `O` outputs (1 for binary and regression, one per class for
multiclass), `K` classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from models.errors import BundleError
from models.features.schema import Task
from models.heads.calibration import Calibration, fit_calibration, probabilities_of
from models.heads.files import HeadFiles
from models.heads.intervals import ErrorScale, ResidualTable
from models.heads.prediction import FloatArray, HeadPrediction, check_coverage
from models.heads.problem import HeadProblem
from models.heads.sets import ClassSets, ScoreTable


@dataclass(frozen=True, slots=True)
class Finishing:
    """Calibration and sets of a classification head, intervals of a regression head; None where there were no folds.

    With an `error_scale`, residuals of the intervals are in units of it.

    >>> finishing = Finishing(calibration=Calibration(2.0, (0.0,)))
    >>> finishing.apply(Task.BINARY, np.zeros((1, 1))).probabilities.tolist()
    [[0.5, 0.5]]
    """

    calibration: Calibration | None = None
    intervals: ResidualTable | None = None
    sets: ClassSets | None = None
    error_scale: ErrorScale | None = None

    @classmethod
    def fit(cls, problem: HeadProblem, scores: FloatArray) -> Finishing:
        """From out-of-fold `scores` [m, O] of the rows `problem.folds.rows`: logits, or values on the labels' scale."""
        assert problem.folds is not None  # without folds there are no such scores
        rows = problem.folds.rows
        labels, weights = problem.labels[rows], problem.weights[rows]
        return cls.fit_rows(problem.task, scores, labels, weights)

    @classmethod
    def fit_rows(cls, task: Task, scores: FloatArray, labels: FloatArray, weights: FloatArray) -> Finishing:
        """From out-of-fold `scores` [m, O] at `labels` [m] with positive `weights` [m]."""
        if task is Task.REGRESSION:
            residuals = labels - scores[:, 0]
            scaled = ErrorScale.fit(scores[:, 0], residuals, weights)
            if scaled is None:
                return cls(intervals=ResidualTable.fit(residuals, weights))
            error_scale, sizes = scaled
            return cls(intervals=ResidualTable.fit(residuals / sizes, weights), error_scale=error_scale)
        classes = labels.astype(np.int64)
        centre = np.average(scores, axis=0, weights=weights)
        calibration = fit_calibration(scores, classes, weights / weights.mean(), centre)
        probabilities = probabilities_of(calibration.apply(scores))
        return cls(calibration=calibration, sets=ClassSets.fit(probabilities, classes, weights))

    def calibrated(self, scores: FloatArray) -> FloatArray:
        """Logits [B, O] after calibration; values as they are."""
        return scores if self.calibration is None else self.calibration.apply(scores)

    def apply(self, task: Task, scores: FloatArray, coverage: float = 0.9) -> HeadPrediction:
        """Scores [B, O] to predictions, each row by itself.

        Raises:
            InputError: `coverage` is not strictly between 0 and 1 (code `invalid_coverage`).
        """
        check_coverage(coverage)
        if task is Task.REGRESSION:
            value = np.ascontiguousarray(scores[:, 0])
            return HeadPrediction(value=value, interval=self.intervals_around(value, coverage))
        probabilities = probabilities_of(self.calibrated(scores))
        return HeadPrediction(
            probabilities=probabilities,
            label_index=probabilities.argmax(axis=1).astype(np.int64),
            in_set=None if self.sets is None else self.sets.contains(probabilities, coverage),
        )

    def intervals_around(self, values: FloatArray, coverage: float) -> FloatArray | None:
        """Lower and upper ends [B, 2] around `values` [B]; None where there are no intervals."""
        if self.intervals is None:
            return None
        low, high = self.intervals.offsets(coverage)
        size = np.ones(len(values)) if self.error_scale is None else self.error_scale.at(values)
        return np.stack([values + low * size, values + high * size], axis=1)

    def report(self) -> dict[str, object]:
        """What a head's report says of it."""
        found: dict[str, object] = {}
        if self.intervals is not None:
            found["max_coverage"] = round(self.intervals.max_coverage, 6)
        if self.calibration is not None:
            found["calibration_scale"] = round(self.calibration.scale, 6)
        if self.sets is not None:
            found["max_coverage"] = round(self.sets.max_coverage, 6)
        return found

    def header(self) -> dict[str, object]:
        """Entries of `head.json`."""
        found: dict[str, object] = {}
        if self.calibration is not None:
            found["calibration"] = {"scale": self.calibration.scale, "shift": list(self.calibration.shift)}
        if self.intervals is not None:
            table = self.intervals
            numbers = {"num_labels": table.num_labels, "mean": table.mean, "spread": table.spread}
            if self.error_scale is None:
                found["intervals"] = numbers
            else:
                # Under another name: builds that do not know the scale then give no interval instead of a wrong one.
                scale = self.error_scale
                found["scaled_intervals"] = numbers | {
                    "positions": list(scale.positions),
                    "sizes": list(scale.sizes),
                }
        if self.sets is not None:
            found["sets"] = {
                "num_labels": [table.num_labels for table in self.sets.tables],
                "num_points": [len(table.levels) for table in self.sets.tables],
                "group_of": list(self.sets.group_of),
            }
        return found

    def tensors(self) -> dict[str, torch.Tensor]:
        """Entries of `head.safetensors`."""
        found: dict[str, torch.Tensor] = {}
        if self.intervals is not None:
            found["interval_levels"] = torch.tensor(self.intervals.levels, dtype=torch.float64)
            found["interval_residuals"] = torch.tensor(self.intervals.residuals, dtype=torch.float64)
        if self.sets is not None:
            tables = self.sets.tables
            for name, columns in (
                ("set_levels", [table.levels for table in tables]),
                ("set_scores", [table.scores for table in tables]),
            ):
                found[name] = torch.tensor([x for column in columns for x in column], dtype=torch.float64)
        return found

    @classmethod
    def from_parts(cls, parts: HeadFiles) -> Finishing:
        """Raises: BundleError when header and tensors do not fit together."""
        num_classes = len(parts.classes or ())
        num_outputs = num_classes if parts.task is Task.MULTICLASS else 1
        intervals, error_scale = _intervals(parts)
        return cls(_calibration(parts, num_outputs), intervals, _sets(parts, num_classes), error_scale)


NOT_FINISHED = Finishing()
"""Of a head without folds: probabilities as the logits say them, values without intervals."""


def outputs_of(task: Task, scores: FloatArray) -> FloatArray:
    """Probabilities [m, K] or values [m] of scores [m, O] as they are, which heads are judged by out of fold.

    Without the calibration: it was fitted on these very rows.
    """
    return scores[:, 0] if task is Task.REGRESSION else probabilities_of(scores)


def _calibration(parts: HeadFiles, num_outputs: int) -> Calibration | None:
    if "calibration" not in parts.header:
        return None
    numbers = parts.section("calibration")
    scale, shift = numbers.get("scale"), numbers.get("shift")
    if not isinstance(shift, list) or len(shift) != num_outputs:
        raise BundleError("the head's calibration has not one shift per output; fit it again")
    if not isinstance(scale, float | int) or not all(isinstance(number, float | int) for number in shift):
        raise BundleError("the head's calibration is not made of numbers; fit it again")
    return Calibration(float(scale), tuple(float(x) for x in shift))


def _intervals(parts: HeadFiles) -> tuple[ResidualTable | None, ErrorScale | None]:
    name = next((name for name in ("intervals", "scaled_intervals") if name in parts.header), None)
    if name is None:
        return None, None
    section = parts.section(name)
    levels = parts.tensor("interval_levels", torch.float64, 1)
    residuals = parts.tensor("interval_residuals", torch.float64, 1)
    if len(levels) != len(residuals) or len(levels) == 0 or bool((residuals.diff() < 0).any()):
        raise BundleError("the head's interval table is not monotone; fit it again")
    num_labels, mean, spread = (_number(section, field) for field in ("num_labels", "mean", "spread"))
    if num_labels <= 0.0 or spread < 0.0:
        raise BundleError(f"the head's intervals stand on {num_labels} labels; fit it again")
    table = ResidualTable(tuple(levels.tolist()), tuple(residuals.tolist()), num_labels, mean, spread)
    if name == "intervals":
        return table, None
    positions, sizes = _numbers(section, "positions"), _numbers(section, "sizes")
    is_increasing = all(one < other for one, other in pairwise(positions))
    if len(positions) != len(sizes) or len(sizes) == 0 or not is_increasing or min(sizes) <= 0.0:
        raise BundleError("the head's error scale is damaged; fit it again")
    return table, ErrorScale(tuple(map(float, positions)), tuple(map(float, sizes)))


def _sets(parts: HeadFiles, num_classes: int) -> ClassSets | None:
    if "sets" not in parts.header:
        return None
    numbers = parts.section("sets")
    levels = parts.tensor("set_levels", torch.float64, 1)
    scores = parts.tensor("set_scores", torch.float64, 1)
    counts, points, group_of = (_numbers(numbers, name) for name in ("num_labels", "num_points", "group_of"))
    lengths = [int(count) for count in points]
    is_whole = lengths == list(points) and min(lengths, default=-1) >= 1
    places = [int(place) for place in group_of]
    if not is_whole or len(counts) != len(lengths) or not sum(lengths) == len(levels) == len(scores):
        raise BundleError("the head's tables of sets are damaged; fit it again")
    if len(places) != num_classes or places != list(group_of) or not set(places) <= set(range(len(lengths))):
        raise BundleError(
            f"the head's sets are of {len(places)} classes, the head of {num_classes}; fit it again"
        )
    tables = []
    ends = np.cumsum(lengths)[:-1]
    parts_of = (counts, np.split(levels.numpy(), ends), np.split(scores.numpy(), ends))
    for count, level, score in zip(*parts_of, strict=True):
        if count <= 0 or bool((np.diff(level) < 0).any()) or bool((np.diff(score) > 0).any()):
            raise BundleError("the head's tables of sets are not monotone; fit it again")
        tables.append(ScoreTable(tuple(level.tolist()), tuple(score.tolist()), float(count)))
    return ClassSets(tuple(tables), tuple(places))


def _number(section: dict[str, object], name: str) -> float:
    found = section.get(name)
    if not isinstance(found, float | int) or isinstance(found, bool):
        raise BundleError(f"the head's {name} is not a number; fit it again")
    return float(found)


def _numbers(section: dict[str, object], name: str) -> list[float]:
    found = section.get(name)
    if not isinstance(found, list) or not all(type(number) in (int, float) for number in found):
        raise BundleError(f"the head's {name} is not a list of numbers; fit it again")
    return found
