"""Targets, and how they decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, RootModel

from app.schemas.base import AnswerBody, Instant, Name, RequestBody
from app.schemas.labels import MAX_TEXT_LABEL_CHARS
from models.features.schema import JsonScalar, Task
from models.heads.decision import DecisionRule


class TargetRequest(RequestBody):
    """With `column` the labels are the values of that column; without, they are sent by key."""

    name: Name
    column: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    task: Annotated[Task | None, Field(strict=False)] = None
    positive: Annotated[str, Field(max_length=MAX_TEXT_LABEL_CHARS)] | int | float | bool | None = Field(
        default=None, description="The positive class of a binary target."
    )
    forbidden_columns: Annotated[list[str], Field(default_factory=list, max_length=2_000)]
    decision: DecisionRule | None = Field(
        default=None,
        description="How `label` follows from probabilities; by default the most probable class.",
    )


class TargetBody(AnswerBody):
    name: str
    id: str
    task: Task | None = Field(description="Null until labels of two classes have arrived.")
    classes: list[JsonScalar] | None = Field(
        description="With their JSON type; of a binary target the positive last."
    )
    column: str | None
    source: Literal["column", "keys"]
    forbidden_columns: list[str]
    num_labels: int
    label_counts: dict[str, Any]
    champion: int | None = Field(description="Head version that serves by default.")
    decision: dict[str, Any] | None = Field(description="The decision rule; null is the most probable class.")
    created_at: Instant


class TargetCreated(TargetBody):
    warnings: list[str]


class TargetList(AnswerBody):
    targets: list[TargetBody]


class TargetDeleted(AnswerBody):
    target: str
    heads: int
    label_sets: int
    cancelled_jobs: list[str]
    artifacts: int = Field(default=0, description="Stored objects that nothing else used, removed.")


class DecisionRequest(RootModel[DecisionRule]):
    """`threshold`, `costs` or `capacity`."""

    model_config = ConfigDict(frozen=True, strict=True)


class DecisionBody(AnswerBody):
    """The rule of a target, and what it comes to on the rows that its champion was judged on (never fitted)."""

    target: str
    decision: dict[str, Any]
    head: int | None = Field(description="The champion; null where there is none yet.")
    applied: dict[str, Any] | None = Field(description="The rule as it is applied to this head.")
    metrics: dict[str, Any] | None = Field(description="Per judged part: precision, recall, accuracy, cost.")
    most_probable: dict[str, Any] | None = Field(description="The same without the rule.")
    reason: str | None = Field(description="Why there are no metrics.")
