"""What routes ask for: the container, who is calling, and with which scope.

Authentication is a dependency of the router that holds every route but the public ones (`app.main`), so a new
route is closed until somebody opens it; a scope is named by every route.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer

from app.errors import Forbidden, Unauthenticated
from app.schemas.principal import Principal
from app.services.api_keys import parse_key
from app.wiring import Container

_bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", bearerFormat="rs_<public id>_<secret>")


def container_of(request: Request) -> Container:
    """The container that `create_app` was given."""
    return cast(Container, request.app.state.container)


async def _container(request: Request) -> Container:
    """`container_of` as a dependency: a coroutine, because FastAPI sends plain functions through a thread."""
    return container_of(request)


async def authenticate(request: Request, _documented: Annotated[object, Depends(_bearer)]) -> Principal:
    """The caller behind the bearer key; the same answer for a missing, wrong, expired or revoked key.

    Raises: Unauthenticated; CatalogStale (503) when revocations have been out of sight for too long.
    """
    headers = request.headers.getlist("authorization")
    scheme, _, text = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
    parsed = parse_key(text.strip()) if scheme.lower() == "bearer" else None
    catalog = container_of(request).catalog
    principal = None if parsed is None else catalog.authenticate_from_memory(*parsed)
    if principal is None and parsed is not None:  # a thread may wait for the database
        principal = await run_in_threadpool(catalog.authenticate, *parsed)
    if principal is None:
        raise Unauthenticated(
            "This needs a valid API key: send the header Authorization: Bearer rs_<public id>_<secret>. "
            "Keys are made with POST /v1/keys or `rootstock keys`; the first one is in $ROOTSTOCK_HOME/admin-key."
        )
    request.state.key_id = principal.key_id
    return principal


class Requires:
    """Dependency: the authenticated caller, if the key carries `scope`."""

    def __init__(self, scope: str) -> None:
        self.scope = scope

    async def __call__(self, principal: Annotated[Principal, Depends(authenticate)]) -> Principal:
        if not principal.may(self.scope):
            raise Forbidden(
                f"The API key lacks the scope {self.scope}; use a key that has it, or ask an administrator for one.",
                code="missing_scope",
                details={"scope": self.scope},
            )
        return principal


Parts = Annotated[Container, Depends(_container)]
Reader = Annotated[Principal, Depends(Requires("tables:read"))]
Writer = Annotated[Principal, Depends(Requires("tables:write"))]
FineTuner = Annotated[Principal, Depends(Requires("finetune"))]
Caller = Annotated[Principal, Depends(Requires("predict"))]
Promoter = Annotated[Principal, Depends(Requires("promote"))]
Administrator = Annotated[Principal, Depends(Requires("admin"))]
