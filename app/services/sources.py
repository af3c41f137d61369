"""Files that lie in a folder of the server: read only where the operator allowed it, by a word, never by a path.

Clients say the word of a folder and a pattern of plain file names. The folder's place is never shown, nothing
outside it is opened (a link that leads out is refused), and what is read is a private copy, bounded like an
upload: a file that changes meanwhile cannot become half of another.
"""

from __future__ import annotations

import fnmatch
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from app.errors import (
    InsufficientStorage,
    InvalidRequest,
    ResourceConflict,
    ResourceNotFound,
    TooLarge,
    Unavailable,
)
from app.schemas.sources import SourceBody, SourceList, SourceRequest
from app.services.received_files import MAX_FILES, ReceivedFile, plain_name, too_many_files
from app.settings import MIB
from models.errors import TableFormatError
from models.features.reading import ReadLimits, ReadOptions, naming_file, sniff_file

COPY_BYTES = 4 * MIB


class SourceService:
    """`folders`: word to folder; `uploads`: private folder for the copies, on the disk that `min_free_bytes` is for."""

    def __init__(
        self, folders: Mapping[str, Path], *, uploads: Path, max_bytes: int, min_free_bytes: int
    ) -> None:
        self._folders = dict(folders)
        self._uploads = uploads
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes

    def list(self, pattern: str = "*") -> SourceList:
        """The folders, each with the number of its files that match; null where it cannot be read now."""
        found = []
        for word in sorted(self._folders):
            try:
                num_files = sum(1 for _ in self._matching(word, pattern, refuses_links=False))
            except Unavailable:
                found.append(SourceBody(folder=word, num_files=None))
            else:
                found.append(SourceBody(folder=word, num_files=num_files))
        return SourceList(sources=found)

    def receive(self, source: SourceRequest, options: ReadOptions) -> tuple[ReceivedFile, ...]:
        """Private copies of the files that match, sorted by name, each looked at; `discard` them when done.

        Raises: ResourceNotFound `unknown_source`; Unavailable `source_unavailable`; InvalidRequest `no_matching_files`,
            `too_many_files`, `link_outside_source`; TooLarge `file_too_large`; ResourceConflict `source_changed`;
            InsufficientStorage `disk_full`; TableFormatError as `reading.sniff`.
        """
        if source.folder not in self._folders:
            raise ResourceNotFound(
                "There is no source folder of that name; GET /v1/sources lists them, and the operator names them in "
                "ROOTSTOCK_SOURCE_FOLDERS.",
                code="unknown_source",
            )
        matching = sorted(self._matching(source.folder, source.pattern, refuses_links=True))
        if not matching:
            raise InvalidRequest(
                "No file of the source folder matches the pattern (plain file names; hidden files and subfolders do "
                "not count).",
                code="no_matching_files",
            )
        if len(matching) > MAX_FILES:
            raise too_many_files()
        received: list[ReceivedFile] = []
        try:
            for position, (name, path) in enumerate(matching, start=1):
                taken = sum(file.num_bytes for file in received)
                try:
                    received.append(self._received(name, path, options, taken))
                except TableFormatError as error:
                    raise (error if len(matching) == 1 else naming_file(error, position, name)) from None
        except BaseException:
            self.discard(received)
            raise
        return tuple(received)

    def discard(self, files: Iterable[ReceivedFile]) -> None:
        for file in files:
            file.path.unlink(missing_ok=True)

    def _matching(self, word: str, pattern: str, *, refuses_links: bool) -> Iterator[tuple[str, Path]]:
        """Shown name and resolved path of every plain file of the folder that matches; nothing is opened yet.
        Links that lead out of the folder are refused, or passed over.

        Raises: Unavailable `source_unavailable`; InvalidRequest `link_outside_source`.
        """
        try:
            root = self._folders[word].resolve(strict=True)
            with os.scandir(root) as entries:
                names = [(entry.name, entry.is_symlink()) for entry in entries]
        except OSError:  # its message would show the path
            raise Unavailable(
                f"The source folder {word!r} cannot be read now; tell the operator.",
                code="source_unavailable",
                retry_after_s=60.0,
            ) from None
        for name, is_link in names:
            if name.startswith(".") or not fnmatch.fnmatchcase(name, pattern):
                continue
            path = root / name
            with suppress(OSError, RuntimeError):  # gone since, or a link to nothing or to itself
                resolved = path.resolve(strict=True) if is_link else path
                if not resolved.is_relative_to(root):
                    if not refuses_links:
                        continue
                    raise InvalidRequest(
                        f"The file {plain_name(name)!r} of the source folder is a link that leads out of it, and is not "
                        "read. Choose a pattern without it.",
                        code="link_outside_source",
                    )
                if resolved.is_file():
                    yield plain_name(name), resolved

    def _received(self, name: str, path: Path, options: ReadOptions, taken_bytes: int) -> ReceivedFile:
        copy = self._uploads / f"upload-{secrets.token_hex(16)}"
        try:
            num_bytes = self._copy(name, path, copy, taken_bytes)
            sniffed = sniff_file(copy, name, options, ReadLimits(max_bytes=self._max_bytes))
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        return ReceivedFile(copy, name, num_bytes, options, sniffed)

    def _copy(self, name: str, path: Path, copy: Path, taken_bytes: int) -> int:
        """Bytes copied; the file is opened once, without following a link that was put there meanwhile."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            opened = os.open(path, flags)
        except OSError:
            raise _changed(name) from None
        with os.fdopen(opened, "rb") as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise _changed(name)
            self._check_room(taken_bytes + before.st_size)
            num_bytes = 0
            with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                while data := file.read(COPY_BYTES):
                    num_bytes += len(data)
                    self._check_room(taken_bytes + num_bytes)
                    out.write(data)
            after = os.fstat(file.fileno())
        if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, num_bytes):
            raise _changed(name)
        return num_bytes

    def _check_room(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise TooLarge(
                f"A table has at most {self._max_bytes:,} bytes; the files that match have more. Choose fewer, or raise "
                "ROOTSTOCK_MAX_UPLOAD_BYTES.",
                code="file_too_large",
                details={"max_bytes": self._max_bytes},
            )
        # Twice: the store takes a copy of the copy.
        if shutil.disk_usage(self._uploads).free < self._min_free_bytes + num_bytes:
            raise InsufficientStorage(
                "The disk of the service is nearly full; delete tables that are not needed, or ask its operator.",
                code="disk_full",
            )


def _changed(name: str) -> ResourceConflict:
    return ResourceConflict(
        f"The file {name!r} of the source folder changed while it was read; repeat the request when it is complete.",
        code="source_changed",
    )
