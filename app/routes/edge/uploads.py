"""Receive the file of a registration: streamed to a private temporary file, refused by its first MiB.

Fields that say how to read the file come before it in the form (HTTP clients do that); for a file below one MiB
the order does not matter, because it is looked at when the form is complete.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request
from fastapi.concurrency import run_in_threadpool

from app.dependencies import Writer, container_of
from app.errors import InsufficientStorage, InvalidRequest, TooLarge, WrongContentType
from app.routes.edge.form_fields import FIELD_NAMES, READING_FIELDS, reading_options, register_request
from app.routes.edge.multipart import FormReader, boundary_of
from app.routes.edge.strict_json import content_type_of
from app.schemas.tables import RegisterRequest
from app.services.tables import ReceivedFile
from app.settings import MIB, Settings
from models.features.reading import ReadLimits, ReadOptions, Sniffed, sniff

FORM_TYPE = "multipart/form-data"
FILE_FIELD = "file"
HEAD_BYTES = MIB
FEED_BYTES = MIB  # what is parsed and written per trip to a thread
DISK_CHECK_BYTES = 64 * MIB


@dataclass(frozen=True)
class Upload:
    """A received form; `sha256` is that of all fields and the file."""

    wanted: RegisterRequest
    file: ReceivedFile
    sha256: str


class TableFile:
    """Sink for the bytes of a table; `path` is a new file that only this user can read."""

    def __init__(self, settings: Settings, check_name: Callable[[str], None]) -> None:
        self.path = settings.uploads_dir / f"upload-{secrets.token_hex(16)}"
        self.filename = ""
        self.num_bytes = 0
        self.options: ReadOptions | None = None
        self.sniffed: Sniffed | None = None
        self._settings = settings
        self._check_name = check_name
        self._head = bytearray()
        self._digest = hashlib.sha256()
        self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._fields: dict[str, str] = {}
        self._checked_at_bytes = 0

    def begin(self, filename: str, fields: dict[str, str]) -> None:
        self.filename = filename
        self._fields = fields
        if "name" in fields:
            self._check_name(fields["name"])
        self._check_disk(0)

    def write(self, data: bytes) -> None:
        self.num_bytes += len(data)
        if self.num_bytes > self._settings.max_upload_bytes:
            raise TooLarge(
                f"A file has at most {self._settings.max_upload_bytes:,} bytes; send Parquet, or raise "
                "ROOTSTOCK_MAX_UPLOAD_BYTES.",
                code="file_too_large",
                details={"max_bytes": self._settings.max_upload_bytes},
            )
        if self.num_bytes - self._checked_at_bytes > DISK_CHECK_BYTES:
            self._check_disk(len(data))
            self._checked_at_bytes = self.num_bytes
        self._file.write(data)
        self._digest.update(data)
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        if self.sniffed is None and self.num_bytes > HEAD_BYTES:
            self._sniff(is_whole_file=False)

    def finish(self, fields: dict[str, str]) -> str:
        """The form is complete; returns the SHA-256 of fields and file."""
        self._file.close()
        self._fields = fields
        if self.sniffed is None:
            self._sniff(is_whole_file=True)
        elif reading_options(fields, self._settings.max_json_depth) != self.options:
            raise InvalidRequest(
                f"The fields {', '.join(sorted(READING_FIELDS))} come before the file in the form: its beginning is "
                "looked at while the rest arrives.",
                code="options_after_file",
            )
        for name, text in sorted(fields.items()):
            self._digest.update(f"\0{name}\0{text}".encode())
        return self._digest.hexdigest()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _sniff(self, *, is_whole_file: bool) -> None:
        self.options = reading_options(self._fields, self._settings.max_json_depth)
        limits = ReadLimits(max_bytes=self._settings.max_upload_bytes)
        self.sniffed = sniff(
            bytes(self._head), self.filename, self.options, limits, is_whole_file=is_whole_file
        )

    def _check_disk(self, coming: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        # Twice: the store takes a copy of what is being received.
        if free < self._settings.min_free_disk_bytes + self.num_bytes + coming:
            raise InsufficientStorage(
                "The disk of the service is nearly full; delete tables that are not needed, or ask its operator.",
                code="disk_full",
            )


async def receive_upload(
    request: Request,
    principal: Writer,
    idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None,
) -> AsyncIterator[Upload]:
    """Dependency: the form with its file, which is removed after the answer.

    Raises: WrongContentType; BadRequest, InvalidRequest and TooLarge as `FormReader` and `TableFile`;
        TableFormatError for what the first MiB shows; Conflict `name_taken` before the file is received.
    """
    if content_type_of(request) != FORM_TYPE:
        raise WrongContentType(
            f"This route takes {FORM_TYPE} with the file in {FILE_FIELD!r}.",
            details={"accepted": [FORM_TYPE]},
        )
    container = container_of(request)

    def check_name(name: str) -> None:
        if idempotency_key is None:  # a repeat finds the name taken by its first attempt
            container.tables.check_name_is_free(principal, name)

    boundary = boundary_of(request.headers["content-type"])
    sink = await run_in_threadpool(TableFile, container.settings, check_name)
    try:
        reader = FormReader(boundary, FIELD_NAMES, FILE_FIELD, sink)
        await _feed(request, reader)
        yield await run_in_threadpool(_finished, reader, sink, container.settings)
    finally:
        sink.discard()


async def _feed(request: Request, reader: FormReader) -> None:
    pending = bytearray()
    async for chunk in request.stream():
        pending += chunk
        if len(pending) >= FEED_BYTES:
            await run_in_threadpool(reader.feed, bytes(pending))
            pending.clear()
    await run_in_threadpool(reader.feed, bytes(pending))


def _finished(reader: FormReader, sink: TableFile, settings: Settings) -> Upload:
    reader.finish()
    if not reader.has_file:
        raise InvalidRequest(
            f"The form has no file; send it as the part {FILE_FIELD!r} with a filename.", code="file_missing"
        )
    wanted = register_request(reader.fields, settings.max_json_depth)
    sha256 = sink.finish(reader.fields)
    assert sink.options is not None, "the head was looked at"
    assert sink.sniffed is not None, "the head was looked at"
    file = ReceivedFile(
        path=sink.path,
        filename=sink.filename,
        num_bytes=sink.num_bytes,
        options=sink.options,
        sniffed=sink.sniffed,
    )
    return Upload(wanted=wanted, file=file, sha256=sha256)
