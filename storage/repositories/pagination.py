"""Keyset pagination behind an opaque cursor.

A listing is ordered by (created_at, id), newest first; a cursor holds the last row's pair and the listing's
name. Rows made while somebody pages appear on no later page and shift nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.errors import InvalidCursor

MAX_PAGE = 500
_MAX_CURSOR_CHARS = 400


class _Listed(Protocol):
    @property
    def id(self) -> Any: ...


RowT = TypeVar("RowT", bound=_Listed)


@dataclass(frozen=True, slots=True)
class Page(Generic[RowT]):
    """One page of a listing; `next_cursor` is None on the last page."""

    items: list[RowT]
    next_cursor: str | None


def encode_cursor(listing: str, at: float, row_id: str) -> str:
    """The cursor of the page that follows the row (`at`, `row_id`)."""
    text = json.dumps([listing, at, row_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(listing: str, cursor: str) -> tuple[float, str]:
    """The (time, id) pair in `cursor`.

    Raises:
        InvalidCursor: not a cursor, or one of another listing.
    """
    if len(cursor) > _MAX_CURSOR_CHARS:
        raise InvalidCursor(f"A cursor has at most {_MAX_CURSOR_CHARS} characters, this one {len(cursor)}.")
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, RecursionError):
        parts = None
    match parts:
        case [str(name), int() | float() as at, str(row_id)] if (
            name == listing and not isinstance(at, bool) and math.isfinite(at) and row_id.isprintable()
        ):
            return float(at), row_id
    raise InvalidCursor(
        f"This is not a cursor of the listing {listing!r} ({len(cursor)} characters). "
        "Start without a cursor and pass on `next_cursor` unchanged."
    )


def fetch_page(
    session: Session,
    query: Select[RowT],
    *,
    listing: str,
    at: InstrumentedAttribute[float],
    row_id: InstrumentedAttribute[str],
    limit: int,
    cursor: str | None,
) -> Page[RowT]:
    """One page of `query`, newest first; `limit` is held between 1 and `MAX_PAGE`.

    Raises:
        InvalidCursor: see `decode_cursor`.
    """
    limit = max(1, min(limit, MAX_PAGE))
    if cursor is not None:
        query = query.where(tuple_(at, row_id) < tuple_(*decode_cursor(listing, cursor)))
    rows = list(session.scalars(query.order_by(at.desc(), row_id.desc()).limit(limit + 1)))
    items = rows[:limit]
    if len(rows) <= limit:
        return Page(items, None)
    last = items[-1]
    return Page(items, encode_cursor(listing, getattr(last, at.key), getattr(last, row_id.key)))
