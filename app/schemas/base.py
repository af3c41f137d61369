"""Bases of request and response bodies, and the form of names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"

JOB_ID_PATTERN = r"^job_[0-9A-Z]{26}$"
KEY_ID_PATTERN = r"^[a-z0-9]{1,40}$"
PATTERN_WORDS = {
    NAME_PATTERN: "a name has 1 to 63 of a-z, 0-9, _ and -, and starts with a letter or digit",
    JOB_ID_PATTERN: "a job id looks like job_01JD…: job_ and 26 capital letters and digits",
    KEY_ID_PATTERN: "a key id has 1 to 40 of a-z and 0-9",
}
"""What a pattern asks for, for messages."""

Name = Annotated[
    str,
    Field(pattern=NAME_PATTERN, description="1 to 63 of a-z, 0-9, _ and -, starting with a letter or digit."),
]
Instant = Annotated[datetime, Field(description="RFC 3339, UTC.")]
JsonMapping = dict[str, Any]


class RequestBody(BaseModel):
    """A body sent by a client: no unknown fields, no conversions between JSON types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AnswerBody(BaseModel):
    """A body sent to a client; fields may be added, none is removed or renamed."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple | set | frozenset) else value


SortedNames = Annotated[list[str], BeforeValidator(_as_list)]
