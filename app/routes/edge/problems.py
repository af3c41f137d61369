"""Every error as RFC 9457 problem+json: ours by the table, the framework's by the same rules, the rest as 500.

The framework's own handlers would echo input in validation errors and answer plain text for the rest.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import PurePath
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from app.errors import Problem, ServiceError, internal_problem, to_problem
from app.schemas.base import PATTERN_WORDS
from models.errors import RootstockModelError
from storage.errors import StorageError
from storage.orm.base import JsonObject

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
API_PREFIX = "/v1"
MAX_REPORTED_ERRORS = 20
MAX_LOCATION_CHARS = 200

_CODES = {400: "bad_request", 404: "route_not_found", 405: "method_not_allowed", 413: "body_too_large"}
_DETAILS = {
    404: "There is no such route; GET /openapi.json lists them.",
    405: "The route exists, but not with this method; the Allow header lists those it has.",
    413: "The request body is larger than this route takes.",
}
# Their messages quote what was received.
_QUOTING_TYPES = frozenset({"json_invalid", "assertion_error"})


class FieldProblem(BaseModel):
    """One fault of a request: where it is and which rule it breaks, without what was received."""

    location: list[str | int]
    type: str
    message: str


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    details: dict[str, Any] | None = None
    errors: list[FieldProblem] | None = None


def problem_response(problem: Problem, extra: JsonObject | None = None) -> Response:
    return Response(
        orjson.dumps(problem.body() | (extra or {})),
        status_code=problem.status,
        headers=problem.headers,
        media_type=PROBLEM_TYPE,
    )


def _rule(error: Mapping[str, Any]) -> str:
    """The message of a pydantic error, where it cannot contain input."""
    context = error.get("ctx") or {}
    if error["type"] == "union_tag_invalid":
        return f"{context.get('discriminator')} must be one of {context.get('expected_tags')}"
    if error["type"] == "string_pattern_mismatch" and context.get("pattern") in PATTERN_WORDS:
        return PATTERN_WORDS[context["pattern"]]
    if error["type"] in _QUOTING_TYPES:
        return "the value breaks a rule of this field"
    return str(error["msg"]).removeprefix("Value error, ")  # ours, which quote nothing


def validation_problem(errors: Iterable[Mapping[str, Any]]) -> Response:
    """422 with the place and rule of every fault; the input itself is left out."""
    found = [
        {
            "location": [
                part[:MAX_LOCATION_CHARS] if isinstance(part, str) else part for part in error["loc"]
            ],
            "type": error["type"],
            "message": _rule(error),
        }
        for error in errors
    ]
    first = found[0]
    place = ".".join(str(part) for part in first["location"]) or "the request"
    more = f" ({len(found) - 1} more under errors)" if len(found) > 1 else ""
    # A custom error type of ours names a rule of its own; pydantic's say only that the form is wrong.
    code = first["type"] if first["type"].startswith(("invalid_", "unsupported_")) else "invalid_request"
    problem = Problem(422, str(code), f"{place}: {first['message']}{more}.")
    return problem_response(problem, {"errors": found[:MAX_REPORTED_ERRORS]})


async def _on_known_error(request: Request, error: Exception) -> Response:
    problem = to_problem(error)
    return internal_response(request.scope, error) if problem is None else problem_response(problem)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return validation_problem(error.errors())


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_response(request.scope, error)
    status = error.status_code
    detail = _DETAILS.get(status, HTTPStatus(status).phrase + ".")
    return problem_response(
        Problem(status, _CODES.get(status, "bad_request"), detail, dict(error.headers or {}))
    )


def internal_response(scope: Scope, error: BaseException) -> Response:
    """Log where it happened, not what was in it: messages of foreign exceptions may quote rows."""
    error_id = f"err_{secrets.token_hex(8)}"
    frames: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{'/'.join(PurePath(code.co_filename).parts[-3:])}:{trace.tb_lineno}")
        trace = trace.tb_next
    logger.error(
        "%s %s %s: %s at %s",
        error_id,
        scope["method"],
        route_template(scope),
        type(error).__qualname__,
        " < ".join(reversed(frames[-12:])),
    )
    return problem_response(internal_problem(error_id))


def route_template(scope: Scope) -> str:
    """The matched route as declared, for logs and metrics; never the path, which a client chooses freely."""
    template = getattr(scope.get("route"), "path", None)
    if template is None:
        return "unmatched"
    # A route knows its path in its own router only; all routers but those of the root stand under one prefix.
    is_versioned = scope["path"].startswith(f"{API_PREFIX}/")
    return f"{API_PREFIX}{template}" if is_versioned else str(template)


def install_problem_handlers(app: FastAPI) -> None:
    """Unknown exceptions are left to the gate: the framework would log them with their message."""
    for tree in (ServiceError, StorageError, RootstockModelError):
        app.add_exception_handler(tree, _on_known_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
