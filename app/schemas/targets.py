"""Targets and their labels."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SkipValidation
from pydantic_core import PydanticCustomError

from app.schemas.base import AnswerBody, Instant, Name, RequestBody
from models.features.schema import JsonScalar, Task

MAX_KEY_CHARS = 1_000
MAX_TEXT_LABEL_CHARS = 200


class TargetRequest(RequestBody):
    """With `column` the labels are the values of that column; without, they are sent by key."""

    name: Name
    column: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    task: Annotated[Task | None, Field(strict=False)] = None
    positive: Annotated[str, Field(max_length=MAX_TEXT_LABEL_CHARS)] | int | float | bool | None = Field(
        default=None, description="The positive class of a binary target."
    )
    forbidden_columns: Annotated[list[str], Field(default_factory=list, max_length=2_000)]


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


def _is_key(value: object) -> bool:
    return type(value) is int or (type(value) is str and 0 < len(value) <= MAX_KEY_CHARS)


def _check_key(value: object) -> object:
    if not _is_key(value):
        raise PydanticCustomError(
            "invalid_key",
            "a key is a non-empty text of at most {most} characters or an integer below 2**63; received {type}",
            {"most": MAX_KEY_CHARS, "type": type(value).__name__},
        )
    return value


def _check_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        if len(value) <= MAX_TEXT_LABEL_CHARS:
            return value
        raise PydanticCustomError(
            "invalid_label",
            "a text label has at most {most} characters; received {length}",
            {"most": MAX_TEXT_LABEL_CHARS, "length": len(value)},
        )
    raise PydanticCustomError(
        "invalid_label",
        "a label is a text, a number, true, false, or null to withdraw it; received {type}",
        {"type": type(value).__name__},
    )


class Label(RequestBody):
    """`value` null withdraws the label of `key`."""

    key: Annotated[SkipValidation[str | int], BeforeValidator(_check_key, json_schema_input_type=str | int)]
    value: Annotated[
        SkipValidation[JsonScalar | None],
        BeforeValidator(_check_value, json_schema_input_type=JsonScalar | None),
    ]
    at: Annotated[float | None, Field(description="When it became known, UNIX seconds.")] = None
    weight: Annotated[float | None, Field(gt=0, le=1e9)] = None


class LabelsRequest(RequestBody):
    labels: Annotated[list[Label], Field(min_length=1)]
    strict: bool = Field(default=False, description="Refuse all of them when any key has no row.")


class LabelsAccepted(AnswerBody):
    """`accepted` counts all labels that were taken; the `replaced` and the `unmatched` ones are among them."""

    accepted: int
    replaced: int
    withdrawn: int
    unmatched: int = Field(description="Labels of this request whose key has no row yet; they are kept.")
    num_labels: int = Field(description="Labels of the target that have a row.")
    num_evaluation: int = Field(description="Those among them on evaluation rows: never fitted.")
    num_parked: int = Field(description="Labels of the target that wait for their row.")
    label_set: int
    task: Task | None
    classes: list[JsonScalar] | None
    warnings: list[str]
