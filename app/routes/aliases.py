"""Aliases: movable names of head versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.dependencies import Parts, Promoter, Reader
from app.routes.edge.conditions import ExpectedRevision, Repeatable, etag
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import AliasName, TableName, TargetName
from app.schemas.heads import AliasBody, AliasDeleted, AliasHistoryBody, AliasList, AliasRequest

router = APIRouter(prefix="/tables/{table}/targets/{target}/aliases", tags=["aliases"])


@router.get("", responses=problems(404))
def list_aliases(parts: Parts, caller: Reader, table: TableName, target: TargetName) -> AliasList:
    """Aliases of a target, by name."""
    return parts.aliases.list(caller, table, target)


@router.get("/{alias}", responses=problems(404))
def get_alias(
    response: Response, parts: Parts, caller: Reader, table: TableName, target: TargetName, alias: AliasName
) -> AliasBody:
    """One alias; its ETag is what a careful move sends as If-Match."""
    body = parts.aliases.get(caller, table, target, alias)
    response.headers.update(etag(body.revision))
    return body


@router.put("/{alias}", responses=problems(400, 404, 409, 412, 413, 415))
def move_alias(
    response: Response,
    parts: Parts,
    caller: Promoter,
    table: TableName,
    target: TargetName,
    alias: AliasName,
    body: Annotated[AliasRequest, Depends(JsonBody(AliasRequest))],
    expected: ExpectedRevision,
) -> AliasBody:
    """Point an alias at a ready version, making it if there is none."""
    moved = parts.aliases.move(caller, table, target, alias, body.version, expected)
    response.headers.update(etag(moved.revision))
    return moved


@router.delete("/{alias}", responses=problems(400, 404, 412))
def delete_alias(
    parts: Parts,
    caller: Promoter,
    table: TableName,
    target: TargetName,
    alias: AliasName,
    expected: ExpectedRevision,
) -> AliasDeleted:
    """Remove an alias. Without `champion` a target is served by version only, and "*" passes over it."""
    return parts.aliases.delete(caller, table, target, alias, expected)


@router.post("/{alias}/rollback", response_model=AliasBody, responses=problems(400, 404, 409, 412))
def roll_alias_back(
    parts: Parts,
    caller: Promoter,
    table: TableName,
    target: TargetName,
    alias: AliasName,
    expected: ExpectedRevision,
    repeat: Repeatable,
) -> Response:
    """Point an alias back at the version it had before its last move."""
    return answer_response(parts.aliases.rollback(caller, table, target, alias, expected, repeat))


@router.get("/{alias}/history", responses=problems(404))
def get_alias_history(
    parts: Parts, caller: Reader, table: TableName, target: TargetName, alias: AliasName
) -> AliasHistoryBody:
    """Every move, newest first: who or what moved it, when, from and to which version."""
    return parts.aliases.history(caller, table, target, alias)
