"""Names, versions and pages in URLs."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from app.schemas.base import NAME_PATTERN

TableName = Annotated[str, Path(pattern=NAME_PATTERN)]
TargetName = Annotated[str, Path(pattern=NAME_PATTERN)]
AliasName = Annotated[str, Path(pattern=NAME_PATTERN)]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
JobId = Annotated[str, Path(pattern=r"^job_[0-9A-Z]{26}$")]
KeyId = Annotated[str, Path(pattern=r"^[a-z0-9]{1,40}$")]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=400, description="`next_cursor` of the page before.")]
