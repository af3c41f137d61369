"""What a prediction request answers, as it was sent and as a data frame."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

KEY = "key"


@dataclass(frozen=True)
class PredictionSet:
    """Predictions of several targets for the same rows, in the order they were asked for.

    `predictions` is columnar: `{"churn": {"head": 3, "encoder": 1, "classes": […], "label": […],
    "probabilities": [[…], …], "set": [[…], …]}, "ltv": {"head": 1, "encoder": 1, "value": […], "interval": [[low, high], …]}}`.

    Example:
        >>> answer = {"keys": [7], "predictions": {"ltv": {"head": 1, "encoder": 1, "value": [12.5],
        ...           "interval": [[9.0, 16.0]]}}, "input": {"missing": {}, "unseen": {}}, "skipped": {}}
        >>> PredictionSet.from_json(answer).frame().rows()
        [(7, 12.5, 9.0, 16.0)]
    """

    keys: Sequence[str | int] | None
    predictions: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, int]
    unseen: Mapping[str, int]
    skipped: Mapping[str, str]

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> PredictionSet:
        counts = body.get("input") or {}
        return cls(
            keys=body.get("keys"),
            predictions=body.get("predictions") or {},
            missing=counts.get("missing") or {},
            unseen=counts.get("unseen") or {},
            skipped=body.get("skipped") or {},
        )

    def to_json(self) -> dict[str, Any]:
        """The body as the service sent it (several requests joined into one)."""
        return {
            "keys": self.keys,
            "predictions": self.predictions,
            "input": {"missing": self.missing, "unseen": self.unseen},
            "skipped": self.skipped,
        }

    def __len__(self) -> int:
        for prediction in self.predictions.values():
            return len(prediction["label" if "label" in prediction else "value"])
        return len(self.keys or ())

    def frame(self, *, all_classes: bool = False) -> pl.DataFrame:
        """One row per predicted row: `key` (where there are keys), then the columns of every target.

        A class target `churn` gives `churn` (the label) and `churn.probability`: of the positive class (the last
        of `classes`) for two classes, whatever was decided; of the label that was decided for more. Where a coverage was
        asked for, `churn.set` is the list of classes that hold the true one with this probability. A regression target `ltv` gives `ltv`, `ltv.low`, `ltv.high`.
        Target names have no dots, so these never collide.

        Args:
            all_classes: adds `churn.probability.<class>` for every class.
        """
        columns: dict[str, pl.Series] = {}
        if self.keys is not None:
            columns[KEY] = _series(self.keys)
        for target, prediction in self.predictions.items():
            name = target if target != KEY or self.keys is None else f"target.{target}"
            if "label" in prediction:
                columns |= _class_columns(name, prediction, all_classes)
            else:
                columns |= _value_columns(name, prediction)
        return pl.DataFrame([series.alias(name) for name, series in columns.items()])


def _class_columns(name: str, prediction: Mapping[str, Any], all_classes: bool) -> dict[str, pl.Series]:
    classes = prediction["classes"]
    matrix = pl.Series(prediction["probabilities"], dtype=pl.Array(pl.Float64, len(classes)))
    if len(classes) == 2:
        shown = matrix.arr.last()
    else:  # a rule of costs may decide another class than the most probable one
        places = {(type(value) is bool, value): place for place, value in enumerate(classes)}
        decided = [places[(type(label) is bool, label)] for label in prediction["label"]]
        shown = matrix.arr.get(pl.Series(decided, dtype=pl.UInt32))
    columns = {name: _series(prediction["label"]), f"{name}.probability": shown}
    if prediction.get("set") is not None:
        columns[f"{name}.set"] = _set_series(prediction["set"])
    if all_classes:
        for position, value in enumerate(classes):
            columns[f"{name}.probability.{_text(value)}"] = matrix.arr.get(position)
    return columns


def _set_series(sets: Sequence[Sequence[Any]]) -> pl.Series:
    """Lists of the classes' own type; of text where several types are mixed."""
    values = _series([value for one in sets for value in one])
    lengths = [len(one) for one in sets]
    ends = list(itertools.accumulate(lengths))
    return pl.Series(
        [values[end - length : end] for length, end in zip(lengths, ends, strict=True)],
        dtype=pl.List(values.dtype),
    )


def _value_columns(name: str, prediction: Mapping[str, Any]) -> dict[str, pl.Series]:
    intervals = prediction.get("interval") or [None] * len(prediction["value"])
    bounds = pl.Series(intervals, dtype=pl.Array(pl.Float64, 2))
    return {
        name: pl.Series(prediction["value"], dtype=pl.Float64),
        f"{name}.low": bounds.arr.get(0),
        f"{name}.high": bounds.arr.get(1),
    }


def _series(values: Sequence[Any]) -> pl.Series:
    """A column of the values' own type; text where several types are mixed (keys 7 and "A-7")."""
    kinds = {type(value) for value in values}
    if len(kinds) > 1 and kinds != {int, float}:
        return pl.Series([_text(value) for value in values], dtype=pl.String)
    return pl.Series(values, dtype=pl.String if not kinds else None)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def joined(parts: Sequence[PredictionSet], names_of: Mapping[str, Sequence[str]]) -> PredictionSet:
    """One set of the answers to consecutive batches of rows.

    Args:
        names_of: for every reference that the parts after the first were asked for, its names in the first.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    columns = ("label", "probabilities", "set", "value", "interval")
    predictions: dict[str, dict[str, Any]] = {
        name: {
            field: list(value) if field in columns and value is not None else value
            for field, value in prediction.items()
        }
        for name, prediction in first.predictions.items()
    }
    missing, unseen = dict(first.missing), dict(first.unseen)
    keys = None if first.keys is None else list(first.keys)
    for part in parts[1:]:
        for reference, answer in part.predictions.items():
            for name, column in itertools.product(names_of[reference], columns):
                if answer.get(column) is not None:
                    predictions[name][column].extend(answer[column])
        for total, counts in ((missing, part.missing), (unseen, part.unseen)):
            for column, count in counts.items():
                total[column] = total.get(column, 0) + count
        if keys is not None:
            keys.extend(part.keys or ())
    return PredictionSet(keys, predictions, missing, unseen, first.skipped)
