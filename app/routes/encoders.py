"""Encoder versions of a table."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import FineTuner, Parts, Promoter, Reader
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName, Version
from app.schemas.encoders import (
    EncoderAccepted,
    EncoderBody,
    EncoderDeleted,
    EncoderDetail,
    EncoderList,
    EncoderRequest,
)
from app.schemas.refits import RefitAccepted, RefitRequest

router = APIRouter(prefix="/tables/{table}/encoders", tags=["encoders"])


@router.post(
    "", status_code=202, response_model=EncoderAccepted, responses=problems(400, 404, 409, 413, 415, 507)
)
def pretrain_encoder(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    body: Annotated[EncoderRequest, Depends(JsonBody(EncoderRequest, optional=True))],
    repeat: Repeatable,
) -> Response:
    """Pretrain the next encoder version on the table's rows, without labels."""
    return answer_response(parts.encoders.pretrain(caller, table, body, repeat))


@router.get("", responses=problems(404))
def list_encoders(parts: Parts, caller: Reader, table: TableName) -> EncoderList:
    """Encoder versions, newest first, without their reports."""
    return parts.encoders.list(caller, table)


@router.get("/{version}", responses=problems(404))
def get_encoder(parts: Parts, caller: Reader, table: TableName, version: Version) -> EncoderDetail:
    """One encoder version with its report."""
    return parts.encoders.get(caller, table, version)


@router.post("/{version}/activate", responses=problems(404, 409))
def activate_encoder(parts: Parts, caller: Promoter, table: TableName, version: Version) -> EncoderBody:
    """Fit heads that are asked for from now on with this version; heads keep the encoder they have."""
    return parts.encoders.activate(caller, table, version)


@router.post(
    "/{version}/refit",
    status_code=202,
    response_model=RefitAccepted,
    responses=problems(400, 404, 409, 413, 415, 507),
)
def refit_champions(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    version: Version,
    body: Annotated[RefitRequest, Depends(JsonBody(RefitRequest, optional=True))],
    repeat: Repeatable,
) -> Response:
    """Fit the champions of all targets, or of the named ones, anew on this encoder and the current snapshot.

    One job, one encoder pass per view; its result has the paired difference of every target.
    """
    return answer_response(parts.refits.refit(caller, table, version, body, repeat))


@router.delete("/{version}", responses=problems(404, 409))
def delete_encoder(parts: Parts, caller: FineTuner, table: TableName, version: Version) -> EncoderDeleted:
    """Delete a version that is not active and that no head is pinned to; its number is not used again."""
    return parts.encoders.delete(caller, table, version)
