"""From probabilities to a decided class: the most probable one, or what a target's decision rule says.

A rule belongs to a target and is applied to any of its heads; `bind` checks that it fits one head and gives the
decision as a function of that head's probabilities. A row's decision depends on that row alone: capacity is a bound
on the score that was fixed when the head was fitted, not a ranking of the rows in a request.

Shape letters: `B` rows, `K` classes of the head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from models.errors import InputError
from models.features.labels import MAX_CLASSES
from models.features.schema import JsonScalar
from models.heads.prediction import FloatArray, IndexArray
from models.heads.scores import ScoreQuantiles

MAX_COST = 1e12
_CHUNK_CELLS = 1 << 20

DOES_NOT_FIT = "decision_does_not_fit"
NO_SCORES = "no_score_quantiles"


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule bound to a head. `decide` maps probabilities [B, K] to class indices [B]; `costs` is [K, K] where the
    rule has costs; `words` is what an answer says about it."""

    decide: Callable[[FloatArray], IndexArray]
    words: dict[str, Any] = field(default_factory=dict)
    costs: FloatArray | None = None


def most_probable(probabilities: FloatArray) -> IndexArray:
    """Of equal probabilities the first class."""
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


MOST_PROBABLE = Decision(most_probable, {"rule": "most_probable"})


class _Rule(BaseModel, ABC):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @abstractmethod
    def bind(self, classes: Sequence[JsonScalar], scores: ScoreQuantiles | None) -> Decision:
        """The decision for a head of these `classes`, of which the positive one of two is last.

        Raises: InputError `decision_does_not_fit`, `no_score_quantiles`.
        """


class ThresholdRule(_Rule):
    """Of two classes: the positive one where its probability is at least `threshold`.

    Example:
        >>> decision = ThresholdRule(rule="threshold", threshold=0.3).bind(["no", "yes"], None)
        >>> decision.decide(np.array([[0.7, 0.3], [0.8, 0.2]])).tolist()
        [1, 0]
    """

    rule: Literal["threshold"]
    threshold: Annotated[float, Field(ge=0.0, le=1.0)]

    def bind(self, classes: Sequence[JsonScalar], scores: ScoreQuantiles | None) -> Decision:
        _check_binary(self.rule, classes)
        threshold = self.threshold
        return Decision(lambda p: (p[:, 1] >= threshold).astype(np.int64), self.model_dump(mode="json"))


class CostRule(_Rule):
    """The class with the lowest expected cost. `costs[i][j]`: of deciding class j where class i is true, both in the
    order of the target's `classes`; `classes` names them, so that the costs still mean the same when a target gains
    classes."""

    rule: Literal["costs"]
    costs: Annotated[
        tuple[tuple[Annotated[float, Field(ge=-MAX_COST, le=MAX_COST)], ...], ...],
        Field(min_length=2, max_length=MAX_CLASSES, strict=False),
    ]
    classes: Annotated[tuple[str | int | float | bool, ...] | None, Field(strict=False)] = None

    @field_validator("costs", mode="before")
    @classmethod
    def _rows_as_tuples(cls, value: object) -> object:
        if isinstance(value, list | tuple):
            return tuple(tuple(row) if isinstance(row, list | tuple) else row for row in value)
        return value

    @model_validator(mode="after")
    def _square(self) -> Self:
        num_rows = len(self.costs)
        lengths = sorted({len(row) for row in self.costs})
        if lengths != [num_rows]:
            raise PydanticCustomError(
                "invalid_costs",
                "costs has one row per true class and one number per decided class in each, in the order of the "
                "target's classes: for {classes} classes {classes} × {classes}; received {rows} rows of {lengths} numbers",
                {
                    "classes": max(num_rows, lengths[-1]),
                    "rows": num_rows,
                    "lengths": " to ".join(
                        str(length) for length in dict.fromkeys((lengths[0], lengths[-1]))
                    ),
                },
            )
        if self.classes is not None and len(self.classes) != num_rows:
            raise PydanticCustomError("invalid_costs", "classes names the rows of costs; leave it out", {})
        return self

    def bind(self, classes: Sequence[JsonScalar], scores: ScoreQuantiles | None) -> Decision:
        named = tuple(classes) if self.classes is None else self.classes
        places = {(type(value) is bool, value): place for place, value in enumerate(named)}
        found = [places.get((type(value) is bool, value)) for value in classes]
        known = [place for place in found if place is not None]
        if len(known) != len(found) or len(named) != len(self.costs):
            raise InputError(
                f"The costs of this target were given for {len(self.costs)} classes, the head has "
                f"{len(classes)}, {len(found) - len(known)} of them unknown to the costs; set the costs again.",
                code=DOES_NOT_FIT,
            )
        costs = np.array(self.costs, dtype=np.float64)[np.ix_(known, known)]
        words = {"rule": self.rule, "costs": costs.tolist()}
        return Decision(lambda p: _cheapest(p, costs), words, costs)


class CapacityRule(_Rule):
    """Of two classes: the positive one for at most `share` of the rows, or `count` of the rows of the snapshot that the
    head was fitted on, those with the highest probability."""

    rule: Literal["capacity"]
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    count: Annotated[int, Field(ge=1, le=2**53)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.share is None) == (self.count is None):
            raise PydanticCustomError("invalid_capacity", "capacity takes either share or count", {})
        return self

    def bind(self, classes: Sequence[JsonScalar], scores: ScoreQuantiles | None) -> Decision:
        _check_binary(self.rule, classes)
        if scores is None:
            raise InputError(
                "This head was fitted before heads knew how their scores are spread, which a capacity needs; fit it "
                "again, or decide by a threshold.",
                code=NO_SCORES,
            )
        share = self.share if self.share is not None else (self.count or 0) / max(scores.num_rows, 1)
        bound = scores.bound(min(share, 1.0))
        words = {**self.model_dump(mode="json", exclude_none=True), "above": max(bound, 0.0)}
        return Decision(lambda p: (p[:, 1] > bound).astype(np.int64), words)


DecisionRule = Annotated[ThresholdRule | CostRule | CapacityRule, Discriminator("rule")]
"""What a client says; validated by its `rule`."""


def _check_binary(rule: str, classes: Sequence[JsonScalar]) -> None:
    if len(classes) != 2:
        raise InputError(
            f"The rule {rule} decides between two classes; this target has {len(classes)}. Use costs.",
            code=DOES_NOT_FIT,
        )


def _cheapest(probabilities: FloatArray, costs: FloatArray) -> IndexArray:
    """Decided class [B] of the lowest expected cost; of equal ones the most probable, then the first.

    Sums class by class instead of a matrix product: the kernel that a product takes, and with it the last bit of a sum,
    depends on the number of rows.
    """
    num_rows, num_classes = probabilities.shape
    decided = np.empty(num_rows, dtype=np.int64)
    step = max(1, _CHUNK_CELLS // num_classes)
    for start in range(0, num_rows, step):
        part = probabilities[start : start + step]
        expected = np.zeros((len(part), num_classes))
        for true_class in range(num_classes):
            expected += part[:, true_class, None] * costs[true_class]
        is_lowest = expected == expected.min(axis=1, keepdims=True)
        decided[start : start + step] = np.where(is_lowest, part, -1.0).argmax(axis=1)
    return decided
