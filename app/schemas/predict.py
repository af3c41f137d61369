"""Body of `POST /v1/tables/{table}/predict`: what is asked, about which rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, model_validator
from pydantic_core import PydanticCustomError

from models.features.schema import JsonScalar

EVERY_TARGET = "*"
DEFAULT_ALIAS = "champion"
MAX_REFERENCES = 1_000
MAX_KEY_CHARS = 1_000
MAX_NAMED_POSITIONS = 20

_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"
_REFERENCE = re.compile(rf"(?P<target>{_NAME})(?:@(?P<alias>{_NAME})|:(?P<version>[1-9][0-9]{{0,8}}))?")


@dataclass(frozen=True, slots=True)
class TargetReference:
    """`churn` (its champion), `churn@challenger` (an alias) or `churn:3` (a version); `text` as it was sent."""

    text: str
    target: str
    alias: str | None
    version: int | None

    @classmethod
    def parse(cls, text: str) -> TargetReference | None:
        """None where `text` is no reference by its form."""
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        version = match["version"]
        if version is not None:
            return cls(text, match["target"], None, int(version))
        return cls(text, match["target"], match["alias"] or DEFAULT_ALIAS, None)


def positions_text(positions: list[int]) -> str:
    """Positions for a message: the first few, then how many more; values are never shown."""
    shown = ", ".join(map(str, positions[:MAX_NAMED_POSITIONS]))
    more = len(positions) - MAX_NAMED_POSITIONS
    return f"{shown} and {more} more" if more > 0 else shown


def _check_targets(targets: object) -> object:
    if targets == EVERY_TARGET:
        return (EVERY_TARGET,)
    if not isinstance(targets, list | tuple):
        raise PydanticCustomError(
            "invalid_targets",
            'targets is a list of references or "*"; received {type}',
            {"type": type(targets).__name__},
        )
    if not 1 <= len(targets) <= MAX_REFERENCES:
        raise PydanticCustomError(
            "invalid_targets",
            "targets names 1 to {most} references; received {count}",
            {"most": MAX_REFERENCES, "count": len(targets)},
        )
    for position, text in enumerate(targets):
        if not isinstance(text, str) or (text != EVERY_TARGET and TargetReference.parse(text) is None):
            raise PydanticCustomError(
                "invalid_target_reference",
                'the reference at position {position} is not of the form "target", "target@alias" or "target:version"',
                {"position": position},
            )
    return tuple(dict.fromkeys(targets))


def _check_rows(rows: object) -> object:
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise PydanticCustomError(
            "invalid_rows", "rows is a list of objects; received {type}", {"type": type(rows).__name__}
        )
    wrong = [position for position, row in enumerate(rows) if type(row) is not dict]
    if wrong:
        raise PydanticCustomError(
            "invalid_rows",
            "every row is an object of column names to values; positions that are not: {positions}",
            {"positions": positions_text(wrong)},
        )
    return rows


def _is_key(value: object) -> bool:
    return type(value) is int or (type(value) is str and 0 < len(value) <= MAX_KEY_CHARS)


def check_keys(keys: object) -> object:
    """Raises: PydanticCustomError invalid_key."""
    if keys is None:
        return None
    if not isinstance(keys, list):
        raise PydanticCustomError(
            "invalid_key",
            "keys is a list of texts or integers; received {type}",
            {"type": type(keys).__name__},
        )
    wrong = [position for position, key in enumerate(keys) if not _is_key(key)]
    if wrong:
        raise PydanticCustomError(
            "invalid_key",
            "a key is a non-empty text of at most {most} characters or an integer (no floats, no true/false); "
            "positions that are not: {positions}",
            {"most": MAX_KEY_CHARS, "positions": positions_text(wrong)},
        )
    return keys


class PredictRequest(BaseModel):
    """`rows` or `keys`, exactly one. Row values are checked against the table, not here."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    targets: Annotated[
        tuple[str, ...],
        BeforeValidator(_check_targets, json_schema_input_type=list[str] | Literal["*"]),
        Field(
            description='References "target", "target@alias", "target:version", or "*" for every target with a champion.'
        ),
    ]
    rows: Annotated[
        SkipValidation[list[dict[str, Any]] | None],
        BeforeValidator(_check_rows, json_schema_input_type=list[dict[str, JsonScalar | None]] | None),
        Field(description="Rows by value: column name to value; null or left out is a missing value."),
    ] = None
    keys: Annotated[
        SkipValidation[list[str | int] | None],
        BeforeValidator(check_keys, json_schema_input_type=list[str | int] | None),
        Field(description="Rows of the table's current snapshot by key; duplicates are allowed."),
    ] = None
    coverage: Annotated[
        float,
        Field(
            gt=0.0,
            lt=1.0,
            description="Coverage of the intervals of regression targets. Where it is sent, answers of class targets "
            "have the set of classes that holds the true one with this probability.",
        ),
    ] = 0.9
    extra: Annotated[
        Literal["refuse", "ignore"], Field(description="What to do with columns the table does not have.")
    ] = "refuse"

    @model_validator(mode="after")
    def _one_source(self) -> PredictRequest:
        if (self.rows is None) == (self.keys is None):
            raise PydanticCustomError("invalid_rows_or_keys", "send either rows or keys, exactly one of them")
        return self

    @property
    def asks_for_coverage(self) -> bool:
        return "coverage" in self.model_fields_set

    @property
    def num_rows(self) -> int:
        return len(self.rows if self.rows is not None else self.keys or ())


class ClassPrediction(BaseModel):
    """Columnar answer of a binary or multiclass head: one entry per row, in the order of the request. `label` follows
    from the probabilities by the target's decision rule, which `decision` repeats.

    `set` is there where the request says a `coverage`: per row the classes that it may be of, in the order of `classes`,
    never none; of the rows of every class with enough labels at least that share have it in their set. Null where the head
    has none (fitted before there were sets, on too few labels for folds, or on none).
    """

    head: int
    encoder: int
    classes: list[JsonScalar]
    label: list[JsonScalar]
    probabilities: list[list[float]]
    decision: dict[str, Any]
    set: list[list[JsonScalar]] | None = None


class ValuePrediction(BaseModel):
    """Columnar answer of a regression head; `interval` holds [low, high] at the requested coverage."""

    head: int
    encoder: int
    value: list[float]
    interval: list[tuple[float, float]] | None  # null where the head has none


class PredictInput(BaseModel):
    """What the models made of the input: counts of cells per column, columns without any left out."""

    missing: dict[str, int]
    unseen: dict[str, int]


class PredictResponse(BaseModel):
    """Documents the body; the service builds it from arrays without going through this class."""

    keys: list[str | int] | None
    predictions: dict[str, ClassPrediction | ValuePrediction]
    input: PredictInput
    skipped: dict[str, str]
