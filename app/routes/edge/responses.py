"""Answers of services as responses, and how responses are declared."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from app.routes.edge.problems import PROBLEM_TYPE
from app.services.answers import Answer

_COMMON = (401, 403, 422, 503)
PROBLEM_REF = {"$ref": "#/components/schemas/ProblemBody"}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type="application/json")


def answer_response(answer: Answer) -> Response:
    """A use case's answer; one that repeats an earlier request's says so."""
    repeated = {"Idempotency-Replayed": "true"} if answer.is_repeated else {}
    return json_response(answer.body, answer.status, answer.headers | repeated)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the problems a route may answer with, besides those every route may."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": PROBLEM_REF}},
        }
        for status in sorted({*_COMMON, *statuses})
    }
