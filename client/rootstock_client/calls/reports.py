"""Reports: pages to keep, of a table or of one head."""

from __future__ import annotations

from rootstock_client.calls.base import Calls
from rootstock_client.errors import InvalidArgumentError, NotFoundError, UnexpectedResponseError
from rootstock_client.transport import json_object


class ReportCalls(Calls):
    def report(self, table: str, target: str | None = None, version: int | None = None) -> bytes:
        """An HTML page that needs nothing but itself: of the table, or of a target's head.

        Args:
            version: of the head; by default the one that `champion` points at.

        Raises:
            NotFoundError: no such table, target or head, or the target has no champion (`no_champion`).
            ConflictError: the table (`table_not_ready`) or the head (`head_not_ready`) is not ready.
        """
        if target is None:
            if version is not None:
                raise InvalidArgumentError(
                    "a version is of a target's head: name the target", code="no_target"
                )
            return self._page("tables", table, "report")
        if version is None:
            found = json_object(self._transport.call("GET", "tables", table, "targets", target))
            version = found.get("champion")
        if version is None:
            raise NotFoundError(
                "The target has no champion; name the version of a head.", code="no_champion", status=404
            )
        return self._page("tables", table, "targets", target, "heads", version, "report")

    def _page(self, *segments: str | int) -> bytes:
        response = self._transport.call("GET", *segments, headers={"Accept": "text/html"})
        kind = response.headers.get("content-type", "no content type")
        if not kind.startswith("text/html"):
            raise UnexpectedResponseError(f"expected a page (text/html); received {kind}")
        return response.content
