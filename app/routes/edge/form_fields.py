"""Text fields of the registration form into a checked request: JSON where the value has structure."""

from __future__ import annotations

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError

from app.errors import BadRequest, InvalidRequest
from app.routes.edge.strict_json import parse_json
from app.schemas.tables import RegisterRequest
from models.features.reading import ReadOptions

_JSON_FIELDS = frozenset({"columns", "split", "evaluation_fraction", "pretrain", "pretrain_max_seconds"})
_JSON_OPTIONS = frozenset({"has_header", "skip_lines", "text_columns", "null_values"})
_READING = "reading"  # all reading options in one JSON object; a field of its own wins
READING_FIELDS = frozenset(ReadOptions.model_fields) | {_READING}
FIELD_NAMES = READING_FIELDS | RegisterRequest.model_fields.keys()

_REQUEST: TypeAdapter[RegisterRequest] = TypeAdapter(RegisterRequest)
_OPTIONS: TypeAdapter[ReadOptions] = TypeAdapter(ReadOptions)


def reading_options(fields: dict[str, str], max_depth: int) -> ReadOptions:
    """How to read the file. Raises: RequestValidationError, BadRequest `invalid_json`."""
    given = _json(_READING, fields[_READING], max_depth) if _READING in fields else {}
    if not isinstance(given, dict):
        raise InvalidRequest(
            "The form field 'reading' is a JSON object of reading options.", code="invalid_reading"
        )
    for name, text in fields.items():
        if name in READING_FIELDS and name != _READING:
            given[name] = _json(name, text, max_depth) if name in _JSON_OPTIONS else text
    options: ReadOptions = _validated(_OPTIONS, given)
    return options


def register_request(fields: dict[str, str], max_depth: int) -> RegisterRequest:
    """What to register. Raises: RequestValidationError, BadRequest `invalid_json`, InvalidRequest `name_missing`."""
    if "name" not in fields:
        raise InvalidRequest("The form needs the field name: the table's name.", code="name_missing")
    given = {
        name: _json(name, text, max_depth) if name in _JSON_FIELDS else text
        for name, text in fields.items()
        if name not in READING_FIELDS
    }
    request: RegisterRequest = _validated(_REQUEST, given)
    return request


def _json(name: str, text: str, max_depth: int) -> Any:
    try:
        return parse_json(text.encode(), max_depth=max_depth)
    except BadRequest as error:
        raise BadRequest(
            f"The form field {name!r}: {error.message}", code=error.code, details=error.details
        ) from None


def _validated(adapter: TypeAdapter[Any], given: dict[str, Any]) -> Any:
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None
