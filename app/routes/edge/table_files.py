"""Sink for the files of a form: new files that only this user can read, bounded, looked at as they arrive."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from app.errors import InsufficientStorage, InvalidRequest, TooLarge
from app.routes.edge.form_fields import READING_FIELDS, reading_options
from app.services.received_files import MAX_FILES, ReceivedFile, too_many_files
from app.settings import MIB, Settings
from models.errors import TableFormatError
from models.features.reading import ReadLimits, ReadOptions, Sniffed, naming_file, sniff

HEAD_BYTES = MIB
DISK_CHECK_BYTES = 64 * MIB


@dataclass
class _ArrivingFile:
    path: Path
    filename: str
    opened: BinaryIO
    num_bytes: int = 0
    head: bytearray = field(default_factory=bytearray)
    sniffed: Sniffed | None = None


class TableFiles:
    """`check` sees the fields that came before the first file, and may refuse the rest.

    Raises: TooLarge `file_too_large`; InsufficientStorage `disk_full`; InvalidRequest `too_many_files`,
        `options_after_file`; TableFormatError as `reading.sniff`.
    """

    def __init__(self, settings: Settings, check: Callable[[dict[str, str]], None]) -> None:
        self._settings = settings
        self._check = check
        self._files: list[_ArrivingFile] = []
        self._fields: dict[str, str] = {}
        self._options: ReadOptions | None = None  # with which a file was looked at
        self._file_digest = hashlib.sha256()
        self._digest = hashlib.sha256()
        self._num_bytes = 0
        self._checked_at_bytes = 0

    def begin(self, filename: str, fields: dict[str, str]) -> None:
        if len(self._files) >= MAX_FILES:
            raise too_many_files()
        self._fields = dict(fields)
        if not self._files:
            self._check(fields)
        self._check_disk(0)
        path = self._settings.uploads_dir / f"upload-{secrets.token_hex(16)}"
        opened = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._files.append(_ArrivingFile(path, filename, opened))
        self._file_digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        file = self._files[-1]
        self._num_bytes += len(data)
        if self._num_bytes > self._settings.max_upload_bytes:
            raise TooLarge(
                f"A table has at most {self._settings.max_upload_bytes:,} bytes; send Parquet, or raise "
                "ROOTSTOCK_MAX_UPLOAD_BYTES.",
                code="file_too_large",
                details={"max_bytes": self._settings.max_upload_bytes},
            )
        if self._num_bytes - self._checked_at_bytes > DISK_CHECK_BYTES:
            self._check_disk(len(data))
            self._checked_at_bytes = self._num_bytes
        file.opened.write(data)
        file.num_bytes += len(data)
        self._file_digest.update(data)
        if len(file.head) < HEAD_BYTES:
            file.head += data[: HEAD_BYTES - len(file.head)]
        if file.sniffed is None and file.num_bytes > HEAD_BYTES:
            self._options = reading_options(self._fields, self._settings.max_json_depth)
            file.sniffed = self._sniffed(file, bytes(file.head), self._options, is_whole_file=False)

    def end(self) -> None:
        file = self._files[-1]
        file.opened.close()
        file.head.clear()  # of a small file it is read again: a thousand heads would fill the memory
        self._digest.update(b"\0file\0" + self._file_digest.digest())

    def finish(self, fields: dict[str, str]) -> tuple[tuple[ReceivedFile, ...], str]:
        """The form is complete; returns its files and the SHA-256 of fields and files."""
        options = reading_options(fields, self._settings.max_json_depth)
        if self._options is not None and self._options != options:
            raise InvalidRequest(
                f"The fields {', '.join(sorted(READING_FIELDS))} come before the file in the form: its beginning is "
                "looked at while the rest arrives.",
                code="options_after_file",
            )
        received = []
        for position, file in enumerate(self._files, start=1):
            if file.sniffed is None:
                try:
                    file.sniffed = self._sniffed(file, file.path.read_bytes(), options, is_whole_file=True)
                except TableFormatError as error:
                    raise (
                        error if len(self._files) == 1 else naming_file(error, position, file.filename)
                    ) from None
            received.append(ReceivedFile(file.path, file.filename, file.num_bytes, options, file.sniffed))
        for name, text in sorted(fields.items()):
            self._digest.update(f"\0{name}\0{text}".encode())
        return tuple(received), self._digest.hexdigest()

    def discard(self) -> None:
        for file in self._files:
            file.opened.close()
            file.path.unlink(missing_ok=True)

    def _sniffed(
        self, file: _ArrivingFile, head: bytes, options: ReadOptions, *, is_whole_file: bool
    ) -> Sniffed:
        limits = ReadLimits(max_bytes=self._settings.max_upload_bytes)
        return sniff(head, file.filename, options, limits, is_whole_file=is_whole_file)

    def _check_disk(self, coming: int) -> None:
        free = shutil.disk_usage(self._settings.uploads_dir).free
        # Twice: the store takes a copy of what is being received.
        if free < self._settings.min_free_disk_bytes + self._num_bytes + coming:
            raise InsufficientStorage(
                "The disk of the service is nearly full; delete tables that are not needed, or ask its operator.",
                code="disk_full",
            )
