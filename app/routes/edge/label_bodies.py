"""Labels arrive as JSON, CSV or Parquet on one route: the body by its media type, read after the caller is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query, Request

from app.errors import InvalidRequest, WrongContentType
from app.routes.edge.strict_json import JSON_TYPE, JsonBody, content_type_of
from app.schemas.labels import LabelFileOptions, LabelsRequest
from app.services.sent_labels import LabelFormat

FILE_TYPES: dict[str, LabelFormat] = {"text/csv": "csv", "application/vnd.apache.parquet": "parquet"}
LABELS_JSON = JsonBody(LabelsRequest)
MAX_NAME_CHARS = 200


@dataclass(frozen=True)
class LabelFile:
    content: bytes
    file_format: LabelFormat
    options: LabelFileOptions


LabelBody = LabelsRequest | LabelFile


async def receive_labels(
    request: Request,
    key: Annotated[
        str, Query(max_length=MAX_NAME_CHARS, description="Of a file: its column of keys.")
    ] = "key",
    value: Annotated[str, Query(max_length=MAX_NAME_CHARS, description="Its column of labels.")] = "value",
    at: Annotated[
        str | None,
        Query(max_length=MAX_NAME_CHARS, description="Its column of times; `at` where it has one."),
    ] = None,
    weight: Annotated[
        str | None,
        Query(max_length=MAX_NAME_CHARS, description="Its column of weights; `weight` where it has one."),
    ] = None,
    text: Annotated[
        bool, Query(description="Labels of a CSV file that look like numbers are texts.")
    ] = False,
    strict: Annotated[bool, Query(description="Of a file: refuse all when any key has no row.")] = False,
    replace: Annotated[
        bool, Query(description="Of a file: these are all labels; withdraw every other one.")
    ] = False,
) -> LabelBody:
    """Raises: WrongContentType; InvalidRequest `options_in_query` for JSON, which carries its own; as `JsonBody`."""
    media = content_type_of(request)
    file_format = FILE_TYPES.get(media)
    if file_format is None:
        if media != JSON_TYPE:
            raise WrongContentType(
                f"Labels are sent as {JSON_TYPE}, {' or '.join(FILE_TYPES)}; set the Content-Type header.",
                details={"accepted": [JSON_TYPE, *FILE_TYPES]},
            )
        if request.url.query:
            raise InvalidRequest(
                "A JSON body carries strict and replace itself; leave the query out.", code="options_in_query"
            )
        return await LABELS_JSON(request)
    options = LabelFileOptions(
        key=key, value=value, at=at, weight=weight, text=text, strict=strict, replace=replace
    )
    return LabelFile(await request.body(), file_format, options)
