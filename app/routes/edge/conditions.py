"""Headers that change what a request means: `Idempotency-Key`, `If-Match`, `If-None-Match`."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated

from fastapi import Depends, Header, Request

from app.dependencies import authenticate
from app.errors import BadRequest
from app.schemas.principal import Principal
from app.services.answers import RepeatableRequest

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REVISION_TAG = re.compile(r'"(\d{1,9})"')

IdempotencyKey = Annotated[
    str | None,
    Header(
        description="Repeating a request under the same key makes nothing twice and gets the first answer."
    ),
]


def checked_key(idempotency_key: IdempotencyKey = None) -> str | None:
    """Raises: BadRequest `invalid_idempotency_key`."""
    if idempotency_key is not None and _KEY.fullmatch(idempotency_key) is None:
        raise BadRequest(
            "An Idempotency-Key has 1 to 255 printable ASCII characters without spaces.",
            code="invalid_idempotency_key",
        )
    return idempotency_key


def route_of(request: Request) -> str:
    """Method and path; with a query its digest, because the query is part of what is asked."""
    query = request.url.query
    mark = f"?{hashlib.sha256(query.encode()).hexdigest()[:16]}" if query else ""
    return f"{request.method} {request.url.path}{mark}"


async def repeatable(
    request: Request,
    _caller: Annotated[Principal, Depends(authenticate)],
    key: Annotated[str | None, Depends(checked_key)],
) -> RepeatableRequest | None:
    """The identity of a JSON request that may be repeated; None without an Idempotency-Key."""
    if key is None:
        return None
    return RepeatableRequest(key, route_of(request), hashlib.sha256(await request.body()).hexdigest())


def expected_revision(
    if_match: Annotated[str | None, Header(description="ETag of the revision to change.")] = None,
    if_none_match: Annotated[str | None, Header(description="`*`: only if there is none yet.")] = None,
) -> int | None:
    """The revision that must be current; 0 for "must not exist"; None where the client does not care.

    Raises: BadRequest `invalid_condition`.
    """
    if if_match is not None:
        tag = _REVISION_TAG.fullmatch(if_match.strip())
        if tag is None or if_none_match is not None:
            raise BadRequest(
                'If-Match takes one ETag as this service gives them, such as "3"; send it alone.',
                code="invalid_condition",
            )
        return int(tag[1])
    if if_none_match is not None:
        if if_none_match.strip() != "*":
            raise BadRequest("If-None-Match takes * only.", code="invalid_condition")
        return 0
    return None


def etag(revision: int) -> dict[str, str]:
    return {"ETag": f'"{revision}"'}


Repeatable = Annotated[RepeatableRequest | None, Depends(repeatable)]
ExpectedRevision = Annotated[int | None, Depends(expected_revision)]
