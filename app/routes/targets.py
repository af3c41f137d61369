"""Targets of a table, and labels by key."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import FineTuner, Parts, Reader
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName, TargetName
from app.schemas.targets import (
    LabelsAccepted,
    LabelsRequest,
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


@router.post("/{target}/labels", response_model=LabelsAccepted, responses=problems(400, 404, 409, 413, 415))
def post_labels(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    body: Annotated[LabelsRequest, Depends(JsonBody(LabelsRequest))],
    repeat: Repeatable,
) -> Response:
    """Add, replace or (value null) withdraw labels by key. A key stands once in a request."""
    return answer_response(parts.labels.post(caller, table, target, body, repeat))
