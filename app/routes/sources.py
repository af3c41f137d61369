"""The folders of the server that tables may be read from."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.dependencies import Parts, Reader
from app.routes.edge.responses import problems
from app.schemas.sources import Pattern, SourceList

router = APIRouter(prefix="/sources", tags=["tables"])


@router.get("", responses=problems(422))
def list_sources(
    parts: Parts,
    _caller: Reader,
    pattern: Annotated[Pattern, Query(description="Which files to count.")] = "*",
) -> SourceList:
    """Folders that the operator named, each with the number of its files that match; their place is not shown."""
    return parts.sources.list(pattern)
