"""Text fields of an upload's form into checked requests: JSON where the value has structure."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args, get_origin

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.errors import BadRequest, InvalidRequest
from app.routes.edge.strict_json import parse_json
from models.features.reading import ReadOptions

T = TypeVar("T", bound=BaseModel)

_JSON_OPTIONS = frozenset({"has_header", "skip_lines", "text_columns", "null_values"})
_READING = "reading"  # all reading options in one JSON object; a field of its own wins
READING_FIELDS = frozenset(ReadOptions.model_fields) | {_READING}

_OPTIONS: TypeAdapter[ReadOptions] = TypeAdapter(ReadOptions)


def field_names_of(model: type[BaseModel]) -> frozenset[str]:
    """All fields of a form that carries a request of `model` beside its files."""
    return READING_FIELDS | model.model_fields.keys()


def reading_options(fields: dict[str, str], max_depth: int) -> ReadOptions:
    """How to read the files. Raises: RequestValidationError, BadRequest `invalid_json`."""
    given = _json(_READING, fields[_READING], max_depth) if _READING in fields else {}
    if not isinstance(given, dict):
        raise InvalidRequest(
            "The form field 'reading' is a JSON object of reading options.", code="invalid_reading"
        )
    for name, text in fields.items():
        if name in READING_FIELDS and name != _READING:
            given[name] = _json(name, text, max_depth) if name in _JSON_OPTIONS else text
    return checked_options(given)


def checked_options(given: dict[str, Any]) -> ReadOptions:
    """Raises: RequestValidationError."""
    options: ReadOptions = _validated(_OPTIONS, given)
    return options


def request_of(model: type[T], fields: dict[str, str], max_depth: int) -> T:
    """The request besides the files; a field that is no plain text in `model` is written in JSON.

    Raises: RequestValidationError, BadRequest `invalid_json`, InvalidRequest `name_missing`.
    """
    if "name" in model.model_fields and "name" not in fields:
        raise InvalidRequest("The form needs the field name: the table's name.", code="name_missing")
    given = {
        name: text if _is_plain_text(model, name) else _json(name, text, max_depth)
        for name, text in fields.items()
        if name in model.model_fields
    }
    request: T = _validated(TypeAdapter(model), given)
    return request


def _is_plain_text(model: type[BaseModel], name: str) -> bool:
    annotation = model.model_fields[name].annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)] or [annotation]
    if get_origin(annotation) is Literal:
        return all(isinstance(word, str) for word in kinds)
    return all(kind is str or get_origin(kind) is Literal for kind in kinds)


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
