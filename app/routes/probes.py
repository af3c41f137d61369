"""Is the process alive, can it serve, what does it measure."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from starlette.responses import Response

from app.dependencies import Parts, Reader
from app.errors import Unavailable
from app.routes.edge.responses import problems

public_router = APIRouter(tags=["probes"])
router = APIRouter(tags=["probes"])


class Liveness(BaseModel):
    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    status: Literal["ready"] = "ready"
    warnings: list[str] = []
    """What does not work although requests are served, such as kinds of jobs that no worker takes."""


@public_router.get("/livez")
def get_liveness() -> Liveness:
    """The process answers."""
    return Liveness()


@public_router.get("/readyz", responses={503: problems()[503]})
def get_readiness(parts: Parts) -> Readiness:
    """The database is there and of this version, and what is served from memory is current."""
    parts.database.check_schema()
    if not parts.catalog.is_fresh:
        raise Unavailable("The catalog has not been current for too long.", code="catalog_stale")
    return Readiness(warnings=parts.jobs.warnings())


@router.get("/metrics", response_class=Response, responses=problems())
def get_metrics(request: Request, parts: Parts, caller: Reader) -> Response:
    """Prometheus metrics of this process; scrape with a key that has the scope tables:read."""
    text = generate_latest(request.app.state.http_registry) + generate_latest(parts.registry)
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
