"""JSON request bodies: strict, bounded, and read only after the caller is known.

orjson refuses NaN, Infinity, numbers beyond a double (1e999) and lone surrogates. Of a name that is repeated
inside one object the last one counts, as in most parsers. Bodies are dependencies instead of FastAPI body
parameters because those are read and parsed before any dependency runs, thus before authentication.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError

from app.dependencies import container_of
from app.errors import BadRequest, WrongContentType

T = TypeVar("T", bound=BaseModel)

JSON_TYPE = "application/json"
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")


def content_type_of(request: Request) -> str:
    """The media type without parameters, in lower case; empty where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def refuse_encoded(request: Request) -> None:
    """A compressed body would be bounded before it is unpacked, not after; files may be compressed themselves.

    Raises: WrongContentType `unsupported_content_encoding`.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", ""):
        raise WrongContentType(
            "Bodies with a Content-Encoding are not taken: send it as it is, without that header. A file may be "
            "compressed itself (gzip, zstd, bzip2, xz, zip).",
            code="unsupported_content_encoding",
            details={"accepted": ["identity"]},
        )


def is_deeper_than(body: bytes, max_depth: int) -> bool:
    """Whether arrays and objects nest deeper than `max_depth`; linear time, no recursion.

    Strings are cut out first, then each round removes the innermost level of brackets. `body` is well-formed.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    without_escapes = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Cutting at the quotes leaves text outside strings at the even places.
    structure = b"".join(without_escapes.translate(_BRACES_AS_BRACKETS, _NOT_STRUCTURE).split(b'"')[::2])
    for _ in range(max_depth):
        if not structure:
            return False
        structure = structure.replace(b"[]", b"")
    return bool(structure)


def parse_json(body: bytes, *, max_depth: int) -> Any:
    """Parse a whole body.

    Raises: BadRequest `invalid_json` with line and column, or `json_too_deep`; never with contents.
    """
    try:
        parsed = orjson.loads(body)  # gives up by itself at 1,024 levels
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"The body is not strict JSON at line {error.lineno}, column {error.colno}: {error.msg.partition(':')[0]}. "
            "NaN, Infinity and numbers beyond a 64-bit float are not JSON; send null for a missing value.",
            code="invalid_json",
            details={"line": error.lineno, "column": error.colno},
        ) from None
    if is_deeper_than(body, max_depth):
        raise BadRequest(
            f"The JSON body nests deeper than {max_depth} levels; send it flatter.", code="json_too_deep"
        )
    return parsed


class JsonBody(Generic[T]):
    """Dependency that reads the request's body as one model; `openapi.py` documents it from `model`."""

    def __init__(self, model: type[T], *, optional: bool = False) -> None:
        self.model = model
        self.optional = optional  # an empty body stands for `{}`
        self._adapter = TypeAdapter(model)

    async def __call__(self, request: Request) -> T:
        refuse_encoded(request)
        if content_type_of(request) != JSON_TYPE:
            sends_nothing = (
                request.headers.get("content-length", "0") == "0" and "content-type" not in request.headers
            )
            if not (self.optional and sends_nothing and "transfer-encoding" not in request.headers):
                raise WrongContentType(
                    f"This route takes {JSON_TYPE}; set the Content-Type header.",
                    details={"accepted": [JSON_TYPE]},
                )
        body = await request.body()
        empty = self.optional and not body
        parsed = {} if empty else parse_json(body, max_depth=container_of(request).settings.max_json_depth)
        try:
            return self._adapter.validate_python(parsed)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None
