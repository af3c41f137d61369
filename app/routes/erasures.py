"""Erase rows by key everywhere, and look at the receipts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import Parts, Reader, Writer
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import JobId, TableName
from app.schemas.erasures import EraseRequest, ErasureAccepted, ErasureList, ErasureReceipt

router = APIRouter(prefix="/tables/{table}/erasures", tags=["erasures"])


@router.post(
    "", status_code=202, response_model=ErasureAccepted, responses=problems(400, 404, 409, 413, 415, 507)
)
def erase_rows(
    parts: Parts,
    caller: Writer,
    table: TableName,
    body: Annotated[EraseRequest, Depends(JsonBody(EraseRequest))],
    repeat: Repeatable,
) -> Response:
    """Erase the rows of these keys from all snapshots, label sets, encoders' samples and heads' judged rows."""
    return answer_response(parts.erasures.erase(caller, table, body, repeat))


@router.get("", responses=problems(404))
def list_erasures(parts: Parts, caller: Reader, table: TableName) -> ErasureList:
    """Receipts, newest first, and erasures under way."""
    return parts.erasures.list(caller, table)


@router.get("/{erasure}", responses=problems(404, 409))
def get_erasure(parts: Parts, caller: Reader, table: TableName, erasure: JobId) -> ErasureReceipt:
    """The receipt: where rows were removed, and what was trained with them."""
    return parts.erasures.get(caller, table, erasure)
