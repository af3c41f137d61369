"""Snapshots of a table: add rows, look at versions and their drift, make an earlier one current again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.dependencies import Parts, Reader, Writer
from app.routes.edge.conditions import Repeatable, checked_key, route_of
from app.routes.edge.responses import answer_response, problems
from app.routes.edge.uploads import ReceiveUpload, Upload
from app.routes.parameters import Cursor, Limit, TableName, Version
from app.schemas.tables import (
    SnapshotDeleted,
    SnapshotDetail,
    SnapshotList,
    SnapshotRequest,
    SnapshotRestored,
    TableAccepted,
)
from app.services.answers import RepeatableRequest

router = APIRouter(prefix="/tables/{table}/snapshots", tags=["snapshots"])
receive_snapshot = ReceiveUpload(SnapshotRequest)


@router.post(
    "", status_code=202, response_model=TableAccepted, responses=problems(400, 404, 409, 413, 415, 507)
)
def add_snapshot(
    request: Request,
    parts: Parts,
    caller: Writer,
    table: TableName,
    upload: Annotated[Upload[SnapshotRequest], Depends(receive_snapshot, scope="function")],
    key: Annotated[str | None, Depends(checked_key)],
) -> Response:
    """Replace, append or upsert the rows of one or more files; the job makes them the next snapshot."""
    repeat = None if key is None else RepeatableRequest(key, route_of(request), upload.sha256)
    return answer_response(parts.snapshots.add(caller, table, upload.wanted, upload.files, repeat))


@router.get("", responses=problems(404))
def list_snapshots(
    parts: Parts, caller: Reader, table: TableName, limit: Limit = 50, cursor: Cursor = None
) -> SnapshotList:
    """Immutable versions of the table's rows, newest first."""
    return parts.snapshots.list(caller, table, limit, cursor)


@router.get("/{version}", responses=problems(404))
def get_snapshot(parts: Parts, caller: Reader, table: TableName, version: Version) -> SnapshotDetail:
    """One snapshot: what changed, and the drift report against the snapshot before."""
    return parts.snapshots.get(caller, table, version)


@router.post(
    "/{version}/restore", status_code=201, response_model=SnapshotRestored, responses=problems(400, 404, 409)
)
def restore_snapshot(
    parts: Parts, caller: Writer, table: TableName, version: Version, repeat: Repeatable
) -> Response:
    """Make the rows of an earlier snapshot current again, as a new version."""
    return answer_response(parts.restoring.restore(caller, table, version, repeat))


@router.delete("/{version}", responses=problems(404, 409))
def delete_snapshot(parts: Parts, caller: Writer, table: TableName, version: Version) -> SnapshotDeleted:
    """Delete an old version that no encoder, label set or unfinished job stands on; its number is not used again."""
    return parts.snapshots.delete(caller, table, version)
