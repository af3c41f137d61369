"""Predictions of one, several or all targets for the same rows."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from app.dependencies import Caller, Parts
from app.routes.edge.responses import problems
from app.routes.edge.strict_json import JsonBody
from app.routes.parameters import TableName
from app.schemas.predict import PredictRequest, PredictResponse

router = APIRouter(prefix="/tables/{table}/predict", tags=["predict"])


@router.post("", response_model=PredictResponse, responses=problems(400, 404, 409, 413, 415))
def predict(
    parts: Parts,
    caller: Caller,
    table: TableName,
    body: Annotated[PredictRequest, Depends(JsonBody(PredictRequest))],
) -> Response:
    """Predict for rows by value or by key; touches no database unless something is not found."""
    return Response(parts.predictions.predict_json(caller, table, body), media_type="application/json")
