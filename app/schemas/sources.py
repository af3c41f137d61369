"""Folders of the server that tables may be read from."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from app.schemas.base import AnswerBody, Name, RequestBody


def _of_plain_names(pattern: str) -> str:
    if "/" in pattern or "\\" in pattern or ".." in pattern or pattern.startswith("."):
        raise PydanticCustomError(
            "invalid_pattern",
            "a pattern is of plain file names: no slash, no `..`, no dot at its start",
        )
    if not pattern.isprintable():
        raise PydanticCustomError("invalid_pattern", "a pattern has printable characters only")
    return pattern


Pattern = Annotated[
    str,
    Field(min_length=1, max_length=200, description="Of plain file names, with `*`, `?` and `[a-z]`."),
    AfterValidator(_of_plain_names),
]


class SourceRequest(RequestBody):
    """Files that lie on the server, in a folder its operator named; all that match, sorted by name."""

    folder: Name
    pattern: Pattern = "*"


class SourceBody(AnswerBody):
    folder: str
    num_files: int | None = Field(description="That match the pattern; null where it cannot be read now.")


class SourceList(AnswerBody):
    sources: list[SourceBody]
