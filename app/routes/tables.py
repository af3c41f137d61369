"""Tables: register, list, look at, change columns, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from app.dependencies import Parts, Reader, Writer
from app.routes.edge.conditions import checked_key, route_of
from app.routes.edge.html_files import HTML_FILE, html_file
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.strict_json import JsonBody
from app.routes.edge.uploads import Upload, receive_upload
from app.routes.parameters import Cursor, Limit, SnapshotVersion, TableName
from app.schemas.tables import (
    ColumnsPatch,
    ColumnsPatched,
    ProfileBody,
    ProposalList,
    ProposalsAccepted,
    ProposalsRequest,
    RegisterRequest,
    TableAccepted,
    TableBody,
    TableDeleted,
    TableList,
)
from app.services.answers import RepeatableRequest
from app.web.table_page import table_page

router = APIRouter(prefix="/tables", tags=["tables"])


@router.post("", status_code=202, response_model=TableAccepted, responses=problems(400, 409, 413, 415, 507))
def register_table(
    request: Request,
    parts: Parts,
    caller: Writer,
    upload: Annotated[Upload[RegisterRequest], Depends(receive_upload, scope="function")],
    key: Annotated[str | None, Depends(checked_key)],
) -> Response:
    """Register a table from one or several uploaded files with the same columns; the job reads them."""
    repeat = None if key is None else RepeatableRequest(key, route_of(request), upload.sha256)
    return answer_response(parts.tables.register(caller, upload.wanted, upload.files, repeat))


@router.get("", responses=problems())
def list_tables(parts: Parts, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> TableList:
    """Tables of the workspace, newest first."""
    return parts.tables.list(caller, limit, cursor)


@router.get("/{table}", responses=problems(404))
def get_table(parts: Parts, caller: Reader, table: TableName) -> TableBody:
    """One table with its columns."""
    return parts.tables.get(caller, table)


@router.get("/{table}/profile", responses=problems(404, 409))
def get_profile(
    parts: Parts, caller: Reader, table: TableName, snapshot: SnapshotVersion = None
) -> ProfileBody:
    """Counts, nulls, distinct values, quantiles or top values, evidence and warnings of every column, and of the split;
    of the current snapshot or another version."""
    return parts.tables.profile(caller, table, snapshot)


@router.get("/{table}/report", response_class=HTMLResponse, responses={**problems(404, 409), 200: HTML_FILE})
def get_table_report(parts: Parts, caller: Reader, table: TableName) -> Response:
    """The table as a page to keep: columns, split, snapshots with drift, encoder, targets with their champions."""
    return html_file(table_page(parts.table_reports.get(caller, table)), f"{table}.html")


@router.get("/{table}/proposals", responses=problems(404, 409))
def list_proposals(parts: Parts, caller: Reader, table: TableName) -> ProposalList:
    """Kinds and roles that the profile suggests and that are not in effect, with the reason."""
    return parts.proposals.list(caller, table)


@router.post("/{table}/proposals/accept", responses=problems(400, 404, 409, 413, 415))
def accept_proposals(
    parts: Parts,
    caller: Writer,
    table: TableName,
    body: Annotated[ProposalsRequest, Depends(JsonBody(ProposalsRequest))],
) -> ProposalsAccepted:
    """Change columns as proposed; says what this makes stale."""
    return parts.proposals.accept(caller, table, body)


@router.patch("/{table}/columns", responses=problems(400, 404, 409, 413, 415))
def patch_columns(
    parts: Parts,
    caller: Writer,
    table: TableName,
    body: Annotated[ColumnsPatch, Depends(JsonBody(ColumnsPatch))],
) -> ColumnsPatched:
    """Change kinds and roles; says which encoders and heads this makes stale."""
    return parts.columns.patch(caller, table, body)


@router.delete("/{table}", responses=problems(404))
def delete_table(parts: Parts, caller: Writer, table: TableName) -> TableDeleted:
    """Delete the table with all that was made from it; its jobs are cancelled. It cannot be undone."""
    return parts.tables.delete(caller, table)
