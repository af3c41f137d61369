"""Targets of a table, and how they decide."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import FineTuner, Parts, Promoter, Reader
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName, TargetName
from app.schemas.targets import (
    DecisionBody,
    DecisionRequest,
    TargetBody,
    TargetCreated,
    TargetDeleted,
    TargetList,
    TargetRequest,
)

router = APIRouter(prefix="/tables/{table}/targets", tags=["targets"])


@router.post("", status_code=201, response_model=TargetCreated, responses=problems(400, 404, 409, 413, 415))
def create_target(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    body: Annotated[TargetRequest, Depends(JsonBody(TargetRequest))],
    repeat: Repeatable,
) -> Response:
    """Say what to predict: a column of the table, or labels that will be sent by key."""
    return answer_response(parts.targets.create(caller, table, body, repeat))


@router.get("", responses=problems(404))
def list_targets(parts: Parts, caller: Reader, table: TableName) -> TargetList:
    """Targets of the table, by name."""
    return parts.targets.list(caller, table)


@router.get("/{target}", responses=problems(404))
def get_target(parts: Parts, caller: Reader, table: TableName, target: TargetName) -> TargetBody:
    """One target with the counts of its labels."""
    return parts.targets.get(caller, table, target)


@router.delete("/{target}", responses=problems(404))
def delete_target(parts: Parts, caller: FineTuner, table: TableName, target: TargetName) -> TargetDeleted:
    """Delete the target with its labels, heads and aliases. It cannot be undone."""
    return parts.targets.delete(caller, table, target)


@router.get("/{target}/decision", responses=problems(404))
def get_decision(parts: Parts, caller: Reader, table: TableName, target: TargetName) -> DecisionBody:
    """How `label` follows from probabilities, and what that comes to on the rows that the champion was judged on."""
    return parts.decisions.get(caller, table, target)


@router.put("/{target}/decision", responses=problems(400, 404, 409, 413, 415))
def put_decision(
    parts: Parts,
    caller: Promoter,
    table: TableName,
    target: TargetName,
    body: Annotated[DecisionRequest, Depends(JsonBody(DecisionRequest))],
) -> DecisionBody:
    """Decide by `threshold`, `costs` or `capacity` from now on. No head changes; `label` in answers does."""
    return parts.decisions.put(caller, table, target, body.root)


@router.delete("/{target}/decision", responses=problems(404))
def delete_decision(parts: Parts, caller: Promoter, table: TableName, target: TargetName) -> DecisionBody:
    """Decide for the most probable class again."""
    return parts.decisions.put(caller, table, target, None)
