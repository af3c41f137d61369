"""API keys of the workspace."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import Administrator, Parts
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import KeyId
from app.schemas.keys import KeyBody, KeyCreated, KeyList, KeyRequest

router = APIRouter(prefix="/keys", tags=["keys"])


@router.get("", responses=problems())
def list_keys(parts: Parts, caller: Administrator) -> KeyList:
    """All keys, oldest first, by their public part."""
    return parts.keys.list(caller)


@router.post("", status_code=201, response_model=KeyCreated, responses=problems(400, 413, 415))
def create_key(
    parts: Parts,
    caller: Administrator,
    body: Annotated[KeyRequest, Depends(JsonBody(KeyRequest))],
    repeat: Repeatable,
) -> Response:
    """Make a key; its secret is in this answer and nowhere else."""
    return answer_response(parts.keys.create(caller, body, repeat))


@router.delete("/{key_id}", responses=problems(404, 409))
def revoke_key(parts: Parts, caller: Administrator, key_id: KeyId) -> KeyBody:
    """Revoke a key; holds within a second everywhere."""
    return parts.keys.revoke(caller, key_id)
