"""What a job did to aliases, taken back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import Parts, Promoter
from app.routes.edge.conditions import Repeatable
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName
from app.schemas.refits import JobRollbackRequest, JobRolledBack

router = APIRouter(prefix="/tables/{table}", tags=["aliases"])


@router.post("/rollback", response_model=JobRolledBack, responses=problems(400, 404, 409, 413, 415))
def roll_job_back(
    parts: Parts,
    caller: Promoter,
    table: TableName,
    body: Annotated[JobRollbackRequest, Depends(JsonBody(JobRollbackRequest))],
    repeat: Repeatable,
) -> Response:
    """Undo every alias move that a refit or fine-tune made, in one transaction; what moved since is left alone."""
    return answer_response(parts.rollbacks.rollback(caller, table, body.job, repeat))
