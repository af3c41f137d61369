"""Labels by key, and the versions of a target's label set."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from app.dependencies import FineTuner, Parts, Reader
from app.routes.edge.conditions import Repeatable
from app.routes.edge.label_bodies import LabelBody, receive_labels
from app.routes.edge.responses import answer_response, problems
from app.routes.parameters import Cursor, Limit, TableName, TargetName, Version
from app.schemas.labels import (
    KeysToLabel,
    LabelsAccepted,
    LabelSetBody,
    LabelSetComparison,
    LabelSetDeleted,
    LabelSetList,
    LabelsRequest,
)
from app.services.keys_to_label import Strategy
from app.services.label_export import ExportFormat

router = APIRouter(prefix="/tables/{table}/targets/{target}", tags=["labels"])

MEDIA_TYPES: dict[ExportFormat, str] = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}
_FILE = {
    "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA_TYPES.values()}
}


@router.post("/labels", response_model=LabelsAccepted, responses=problems(400, 404, 409, 413, 415))
def post_labels(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    body: Annotated[LabelBody, Depends(receive_labels)],
    repeat: Repeatable,
) -> Response:
    """Add, replace or (value null or empty) withdraw labels by key, sent as JSON, CSV or Parquet. A key stands once in a
    request."""
    if isinstance(body, LabelsRequest):
        return answer_response(parts.labels.post(caller, table, target, body, repeat))
    answer = parts.labels.post_file(
        caller, table, target, body.content, body.file_format, body.options, repeat
    )
    return answer_response(answer)


@router.get("/label-sets", responses=problems(400, 404))
def list_label_sets(
    parts: Parts,
    caller: Reader,
    table: TableName,
    target: TargetName,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> LabelSetList:
    """Versions of the target's labels, newest first."""
    return parts.label_sets.list(caller, table, target, limit, cursor)


@router.get("/label-sets/{version}", responses=problems(404))
def get_label_set(
    parts: Parts, caller: Reader, table: TableName, target: TargetName, version: Version
) -> LabelSetBody:
    """One version with its counts and the heads that were fitted on it."""
    return parts.label_sets.get(caller, table, target, version)


@router.get("/label-sets/{version}/compare", responses=problems(400, 404, 409))
def compare_label_sets(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    version: Version,
    other: Annotated[
        int | None,
        Query(
            alias="with",
            ge=1,
            le=2**31 - 1,
            description="By default the version before; nothing before the first.",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
    cursor: Cursor = None,
) -> LabelSetComparison:
    """Labels that were added, withdrawn or changed from version `with` to this one."""
    return parts.label_sets.compare(caller, table, target, version, other, limit, cursor)


@router.get(
    "/label-sets/{version}/labels",
    response_class=Response,
    responses={**problems(404, 409), 200: {"description": "The file.", **_FILE}},
)
def download_labels(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    version: Version,
    file_format: Annotated[ExportFormat, Query(alias="format")] = "csv",
) -> Response:
    """All labels of a version as a file: key, value, at, weight. In CSV, texts that a spreadsheet would run as a formula
    get an apostrophe; Parquet has them as they are."""
    content = parts.label_sets.export(caller, table, target, version, file_format)
    name = f"{table}-{target}-labels-{version}.{file_format}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=MEDIA_TYPES[file_format], headers=headers)


@router.post(
    "/label-sets/{version}/restore", response_model=LabelsAccepted, responses=problems(400, 404, 409)
)
def restore_label_set(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    version: Version,
    repeat: Repeatable,
) -> Response:
    """Undo: publish a new version with the labels of this one. Nothing that happened in between is lost."""
    return answer_response(parts.label_sets.restore(caller, table, target, version, repeat))


@router.delete("/label-sets/{version}", responses=problems(404, 409))
def delete_label_set(
    parts: Parts, caller: FineTuner, table: TableName, target: TargetName, version: Version
) -> LabelSetDeleted:
    """Delete an old version with its labels. The latest one, and one that a head was fitted on, stay."""
    return parts.label_sets.delete(caller, table, target, version)


@router.get("/keys-to-label", responses=problems(404, 409))
def keys_to_label(
    parts: Parts,
    caller: FineTuner,
    table: TableName,
    target: TargetName,
    count: Annotated[int, Query(ge=1, le=1_000)] = 50,
    strategy: Strategy = "random",
    seed: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> KeysToLabel:
    """Keys of train rows without a label, best first: `random`, `uncertain` (where the champion hesitates) or `diverse`
    (unlike each other and what is labelled)."""
    return parts.keys_to_label.propose(caller, table, target, count, strategy, seed)
