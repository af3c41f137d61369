"""Head versions of a target, and fine-tunes of many targets at once."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import HTMLResponse, Response

from app.dependencies import FineTuner, Parts, Reader
from app.routes.edge.conditions import Repeatable
from app.routes.edge.html_files import HTML_FILE, html_file
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName, TargetName, Version
from app.schemas.heads import (
    FineTuneAccepted,
    FineTuneRequest,
    HeadAccepted,
    HeadDeleted,
    HeadDetail,
    HeadList,
    HeadRequest,
)
from app.web.head_page import head_page

router = APIRouter(prefix="/tables/{table}", tags=["heads"])
_HEADS = "/targets/{target}/heads"


@router.post(
    _HEADS, status_code=202, response_model=HeadAccepted, responses=problems(400, 404, 409, 413, 415, 507)
)
def fit_head(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    body: Annotated[HeadRequest, Depends(JsonBody(HeadRequest, optional=True))],
    repeat: Repeatable,
) -> Response:
    """Fit the next head version of a target on the active encoder and the latest labels."""
    return answer_response(parts.heads.fit_one(caller, table, target, body, repeat))


@router.post(
    "/fine-tunes",
    status_code=202,
    response_model=FineTuneAccepted,
    responses=problems(400, 404, 409, 413, 415, 507),
)
def fine_tune(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    body: Annotated[FineTuneRequest, Depends(JsonBody(FineTuneRequest))],
    repeat: Repeatable,
) -> Response:
    """Fit heads of many targets, or of all ("*"), in one job over one encoder pass per view."""
    return answer_response(parts.heads.fit_many(caller, table, body, repeat))


@router.get(_HEADS, responses=problems(404))
def list_heads(parts: Parts, caller: Reader, table: TableName, target: TargetName) -> HeadList:
    """Head versions of a target, newest first."""
    return parts.heads.list(caller, table, target)


@router.get(_HEADS + "/{version}", responses=problems(404))
def get_head(
    parts: Parts, caller: Reader, table: TableName, target: TargetName, version: Version
) -> HeadDetail:
    """One head version: metrics with intervals, baselines on the same labels, verdict, aliases."""
    return parts.heads.get(caller, table, target, version)


@router.get(
    _HEADS + "/{version}/report",
    response_class=HTMLResponse,
    responses={**problems(404, 409), 200: HTML_FILE},
)
def get_head_report(
    parts: Parts, caller: Reader, table: TableName, target: TargetName, version: Version
) -> Response:
    """One head as a page to keep: verdict, metrics beside baselines, calibration, columns that matter, lineage."""
    report = parts.head_reports.get(caller, table, target, version)
    return html_file(head_page(report), f"{table}-{target}-head-{version}.html")


@router.delete(_HEADS + "/{version}", responses=problems(404, 409))
def delete_head(
    parts: Parts, caller: FineTuner, table: TableName, target: TargetName, version: Version
) -> HeadDeleted:
    """Delete a version that no alias points at; its number is not used again."""
    return parts.heads.delete(caller, table, target, version)
