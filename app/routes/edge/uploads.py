"""Receive the files of a table: streamed to private temporary files, refused by their first MiB.

Fields that say how to read the files come before them in the form (HTTP clients do that); for files below one MiB
the order does not matter, because they are looked at when the form is complete.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field, create_model

from app.dependencies import Writer, container_of
from app.errors import WrongContentType
from app.routes.edge.form_fields import field_names_of, request_of
from app.routes.edge.multipart import FormReader, boundary_of
from app.routes.edge.strict_json import JSON_TYPE, JsonBody, content_type_of, refuse_encoded
from app.routes.edge.table_files import TableFiles
from app.schemas.principal import Principal
from app.schemas.sources import SourceRequest
from app.schemas.tables import RegisterRequest
from app.services.received_files import ReceivedFile, check_files
from app.settings import MIB
from app.wiring import Container
from models.features.reading import ReadOptions

T = TypeVar("T", bound=BaseModel)

FORM_TYPE = "multipart/form-data"
FILE_FIELD = "file"
FEED_BYTES = MIB  # what is parsed and written per trip to a thread

EarlyCheck = Callable[[Container, Principal, dict[str, str]], None]


@dataclass(frozen=True)
class Upload(Generic[T]):
    """What is wanted, and the files in the order they were sent; `sha256` is that of all fields and files."""

    wanted: T
    files: tuple[ReceivedFile, ...]
    sha256: str


class ReceiveUpload(Generic[T]):
    """Dependency of a route that takes files: the form as a request of `model` with its files, which are removed
    after the answer. `check_early` sees the fields that came before the first file, when a request without an
    Idempotency-Key starts to send it, and may refuse the rest.

    Raises: WrongContentType; BadRequest, InvalidRequest and TooLarge as `FormReader` and `TableFiles`;
        TableFormatError for what the first MiB of a file shows.
    """

    def __init__(self, model: type[T], check_early: EarlyCheck | None = None) -> None:
        self.model = model
        self._check_early = check_early
        self._field_names = field_names_of(model)
        self.body = JsonBody(_with_source(model))

    async def __call__(self, request: Request, principal: Writer) -> AsyncIterator[Upload[T]]:
        refuse_encoded(request)
        if content_type_of(request) == JSON_TYPE:
            received = self._from_folder(request)
        elif content_type_of(request) == FORM_TYPE:
            received = self._from_form(request, principal)
        else:
            raise WrongContentType(
                f"This route takes {FORM_TYPE} with one or more files in {FILE_FIELD!r}, or {JSON_TYPE} that names a "
                "source folder of the server.",
                details={"accepted": [FORM_TYPE, JSON_TYPE]},
            )
        async with received as upload:
            yield upload

    @asynccontextmanager
    async def _from_form(self, request: Request, principal: Principal) -> AsyncIterator[Upload[T]]:
        container = container_of(request)

        def check(fields: dict[str, str]) -> None:
            if self._check_early is not None and "idempotency-key" not in request.headers:
                self._check_early(container, principal, fields)

        boundary = boundary_of(request.headers["content-type"])
        # Before anything arrives; what comes without a length is looked at as it comes. Twice: the store takes a copy.
        await run_in_threadpool(container.capacity.check_disk, 2 * _declared_bytes(request))
        sink = TableFiles(container.settings, check)
        try:
            reader = FormReader(boundary, self._field_names, FILE_FIELD, sink)
            await _feed(request, reader)
            yield await run_in_threadpool(self._finished, reader, sink, container.settings.max_json_depth)
        finally:
            await run_in_threadpool(sink.discard)

    @asynccontextmanager
    async def _from_folder(self, request: Request) -> AsyncIterator[Upload[T]]:
        """The same request in JSON, with files that lie on the server."""
        sources = container_of(request).sources
        body = await self.body(request)
        files: tuple[ReceivedFile, ...] = ()
        try:
            files = await run_in_threadpool(sources.receive, body.source, body.reading)
            check_files(files)
            sha256 = hashlib.sha256(await request.body()).hexdigest()
            yield Upload(wanted=body, files=files, sha256=sha256)
        finally:
            await run_in_threadpool(sources.discard, files)

    def _finished(self, reader: FormReader, sink: TableFiles, max_depth: int) -> Upload[T]:
        reader.finish()
        wanted = request_of(self.model, reader.fields, max_depth)
        files, sha256 = sink.finish(reader.fields)
        check_files(files)
        return Upload(wanted=wanted, files=files, sha256=sha256)


def _with_source(model: type[T]) -> Any:
    """`model` with the files of a source folder and how to read them: the JSON form of the request."""
    return create_model(
        f"{model.__name__}FromFolder",
        __base__=model,
        __doc__="The same request with files that lie on the server instead of an upload.",
        source=(SourceRequest, ...),
        reading=(Annotated[ReadOptions, Field(strict=False)], ReadOptions()),
    )


def _declared_bytes(request: Request) -> int:
    """The length of the body as the client says it; 0 where it does not."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


async def _feed(request: Request, reader: FormReader) -> None:
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= FEED_BYTES:
            await run_in_threadpool(reader.feed, bytes(pending))
            pending.clear()
    await run_in_threadpool(reader.feed, bytes(pending))


def _check_name(container: Container, principal: Principal, fields: dict[str, str]) -> None:
    """Before a large file is received; a repeat of an earlier request finds the name taken by its first attempt.

    Raises: Conflict `name_taken`.
    """
    if "name" in fields:
        container.tables.check_name_is_free(principal, fields["name"])


receive_upload = ReceiveUpload(RegisterRequest, _check_name)
