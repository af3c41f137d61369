"""Pages as downloads that a browser neither runs nor loads anything for."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
HTML_FILE: dict[str, Any] = {
    "description": "The page, as a file that needs nothing else.",
    "content": {"text/html": {"schema": {"type": "string"}}},
}


def html_file(text: str, filename: str) -> HTMLResponse:
    """`filename` of names that have been checked (`app.routes.parameters`)."""
    headers = {
        "Content-Disposition": f'attachment; filename="{filename}"',
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, headers=headers)
