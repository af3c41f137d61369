"""Labels by key, and the versions of a target's label set."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SkipValidation
from pydantic_core import PydanticCustomError

from app.schemas.base import AnswerBody, Instant, RequestBody
from models.features.label_times import MAX_SECONDS, MIN_SECONDS
from models.features.schema import JsonScalar, Task

MAX_KEY_CHARS = 1_000
MAX_TEXT_LABEL_CHARS = 200
MAX_WEIGHT = 1e9
AT_RULE = "`at` is ISO 8601 text (UTC where it names no zone) or UNIX seconds, between the years 1 and 9999"


def is_key(value: object) -> bool:
    return type(value) is int or (type(value) is str and 0 < len(value) <= MAX_KEY_CHARS)


def seconds_from(value: str | float) -> float | None:
    """UNIX seconds of ISO 8601 text or of a number; None where it is neither or out of range."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    seconds = float(value)
    return seconds if math.isfinite(seconds) and MIN_SECONDS <= seconds < MAX_SECONDS else None


def _check_key(value: object) -> object:
    if not is_key(value):
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


def _check_at(value: object) -> object:
    if value is None:
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        seconds = seconds_from(value)
        if seconds is not None:
            return seconds
    raise PydanticCustomError("invalid_at", AT_RULE + "; received {type}", {"type": type(value).__name__})


class Label(RequestBody):
    """`value` null withdraws the label of `key`."""

    key: Annotated[SkipValidation[str | int], BeforeValidator(_check_key, json_schema_input_type=str | int)]
    value: Annotated[
        SkipValidation[JsonScalar | None],
        BeforeValidator(_check_value, json_schema_input_type=JsonScalar | None),
    ]
    at: Annotated[
        float | None,
        BeforeValidator(_check_at, json_schema_input_type=float | str | None),
        Field(
            description="When it became known: ISO 8601 text (UTC where it names no zone) or UNIX seconds."
        ),
    ] = None
    weight: Annotated[float | None, Field(gt=0, le=MAX_WEIGHT)] = None


class LabelsRequest(RequestBody):
    labels: Annotated[list[Label], Field(min_length=1)]
    strict: bool = Field(default=False, description="Refuse all of them when any key has no row.")
    replace: bool = Field(
        default=False, description="These are all labels of the target: withdraw every other one."
    )


class LabelFileOptions(RequestBody):
    """How a file of labels is read: the names of its columns. `at` and `weight` are used where the file has them, and
    must be there when they are named."""

    key: str = "key"
    value: str = "value"
    at: str | None = None
    weight: str | None = None
    text: bool = False
    strict: bool = False
    replace: bool = False


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


class LabelSetBody(AnswerBody):
    """A version of all labels of a target; versions never change."""

    version: int
    action: str = Field(
        description="What made it: labels, undo (restore), snapshot (the column's values in a newer one), erase."
    )
    restored_version: int | None = Field(description="Of an undo: the version whose labels these are.")
    source: Literal["column", "keys"]
    num_labels: int = Field(description="Labels that have a row.")
    counts: dict[str, Any]
    heads: list[int] = Field(description="Versions of the heads that were fitted on it.")
    is_latest: bool
    created_at: Instant


class LabelSetList(AnswerBody):
    label_sets: list[LabelSetBody]
    next_cursor: str | None


class LabelChange(AnswerBody):
    """`before` and `after` are null where there was no label."""

    key: str
    before: JsonScalar | None
    after: JsonScalar | None


class ClassChange(AnswerBody):
    value: JsonScalar
    added: int
    withdrawn: int
    changed_to: int
    changed_from: int


class LabelSetComparison(AnswerBody):
    """What is different in `label_set` from what it was in `with_label_set`."""

    label_set: int
    with_label_set: int = Field(description="0: before the first.")
    added: int
    withdrawn: int
    changed: int = Field(description="Labels with another value.")
    details_changed: int = Field(description="Labels of the same value with another `at` or `weight`.")
    unchanged: int
    per_class: list[ClassChange] | None = Field(description="Null for a regression.")
    labels: list[LabelChange] = Field(description="Added, withdrawn and changed ones, by key.")
    next_cursor: str | None


class LabelSetDeleted(AnswerBody):
    target: str
    version: int
    labels: int = 0
    artifacts: int = Field(default=0, description="Stored objects that nothing else used, removed.")


class KeysToLabel(AnswerBody):
    """Keys of rows of the train part without a label, in the order in which to label them."""

    keys: list[str]
    strategy: str
    num_unlabelled: int = Field(description="Rows of the train part that have no label yet.")
    num_considered: int = Field(description="Rows among them that these were chosen from.")
    head: int | None = Field(description="Version whose probabilities were used.")
