"""What every family of calls does with an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from rootstock_client.errors import UnexpectedResponseError
from rootstock_client.jobs import Job
from rootstock_client.transport import JsonObject, Transport, json_object

PAGE_SIZE = 100


class Calls:
    _transport: Transport

    def _get(self, *segments: str | int) -> JsonObject:
        return json_object(self._transport.call("GET", *segments))

    def _list(
        self,
        *segments: str | int,
        items: str,
        filters: Mapping[str, str | int | None] | None = None,
        limit: int | None = None,
    ) -> list[JsonObject]:
        """Entries of a listing in its order, over as many pages as there are (at most `limit` entries)."""
        params: dict[str, str | int] = {
            name: value for name, value in (filters or {}).items() if value is not None
        }
        params["limit"] = PAGE_SIZE if limit is None else min(limit, PAGE_SIZE)
        found: list[JsonObject] = []
        while True:
            body = json_object(self._transport.call("GET", *segments, params=params))
            page = body.get(items)
            if not isinstance(page, list):
                raise UnexpectedResponseError(f"expected a list under {items!r}")
            found += page
            cursor = body.get("next_cursor")
            if not cursor or (limit is not None and len(found) >= limit):
                return found if limit is None else found[:limit]
            params["cursor"] = cursor


def started(response: httpx.Response) -> Job:
    """The job of a 202 answer, with what else was made beside it."""
    body = json_object(response)
    return job_from(body.pop("job", None), created=body)


def job_from(body: Any, *, created: Mapping[str, Any] | None = None) -> Job:
    """Raises:
    UnexpectedResponseError: the body is no job.
    """
    try:
        return Job.from_json(body, created=created)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnexpectedResponseError(f"expected a job; a field is missing or wrong ({error})") from error


def without_none(body: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves out what was not given, so that the service's defaults hold."""
    return {name: value for name, value in body.items() if value is not None}
