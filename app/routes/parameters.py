"""Names, versions and pages in URLs."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Path, Query
from pydantic import BeforeValidator

from app.schemas.base import JOB_ID_PATTERN, KEY_ID_PATTERN, NAME_PATTERN


def _plain_digits(value: object) -> object:
    """Pydantic would also take `+1`, ` 1`, `1_0` and `01`: several addresses of one thing."""
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,9}", value) is None:
        raise ValueError("a version is a whole number from 1, in plain digits")
    return value


TableName = Annotated[str, Path(pattern=NAME_PATTERN)]
TargetName = Annotated[str, Path(pattern=NAME_PATTERN)]
AliasName = Annotated[str, Path(pattern=NAME_PATTERN)]
Version = Annotated[int, Path(ge=1, le=2**31 - 1), BeforeValidator(_plain_digits)]
JobId = Annotated[str, Path(pattern=JOB_ID_PATTERN)]
KeyId = Annotated[str, Path(pattern=KEY_ID_PATTERN)]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")]
SnapshotVersion = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="A snapshot version; the current one where it is left out."),
    BeforeValidator(_plain_digits),
]
