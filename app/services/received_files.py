"""Files on their way into a table: received, stored as artifacts, owned by the job that will read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import InvalidRequest
from app.schemas.payloads import UploadedFile
from app.services.artifacts import refer
from models.features.reading import ReadOptions, Sniffed, check_same_columns
from storage.artifacts import ArtifactStore
from storage.unit_of_work import UnitOfWork

MAX_FILENAME_CHARS = 255
_SEPARATORS = re.compile(r"[\\/]")
MAX_FILES = 1_000
"""Of one table: more are better put together before they are sent."""


@dataclass(frozen=True)
class ReceivedFile:
    """A file that lies whole in a private folder; its first MiB was found to be a table."""

    path: Path
    filename: str
    num_bytes: int
    options: ReadOptions
    sniffed: Sniffed


def check_files(files: Sequence[ReceivedFile]) -> None:
    """What the beginnings of several files tell together.

    Raises: InvalidRequest `file_missing`, `too_many_files`; TableFormatError `files_differ`.
    """
    if not files:
        raise InvalidRequest(
            "There is no file; a form holds one or more in the part 'file', each with a filename.",
            code="file_missing",
        )
    if len(files) > MAX_FILES:
        raise too_many_files()
    known = [(at, file) for at, file in enumerate(files, start=1) if file.sniffed.columns]
    for at, file in known[1:]:
        first = known[0][1]
        check_same_columns((first.filename, first.sniffed.columns), (file.filename, file.sniffed.columns), at)


def too_many_files() -> InvalidRequest:
    return InvalidRequest(
        f"A table comes in at most {MAX_FILES:,} files; these are more. Put them together first.",
        code="too_many_files",
        details={"max_files": MAX_FILES},
    )


def plain_name(filename: str) -> str:
    """The last part of a name that may be a path of another machine; a hint for messages, never a path here."""
    name = "".join(char for char in _SEPARATORS.split(filename)[-1] if char.isprintable())
    return name[-MAX_FILENAME_CHARS:] or "upload"


def known_columns(files: Sequence[ReceivedFile]) -> tuple[str, ...]:
    """Names of the columns, if any file has them in its first MiB."""
    return next((file.sniffed.columns for file in files if file.sniffed.columns), ())


def put_files(store: ArtifactStore, workspace_id: str, files: Sequence[ReceivedFile]) -> list[UploadedFile]:
    """Store them, in order; nothing refers to them yet."""
    return [
        UploadedFile(
            digest=store.put_file(workspace_id, file.path), filename=file.filename, num_bytes=file.num_bytes
        )
        for file in files
    ]


def refer_to_files(
    uow: UnitOfWork, store: ArtifactStore, workspace_id: str, files: Sequence[UploadedFile], owner_id: str
) -> None:
    """Files with the same bytes are one object. Raises: ObjectGone."""
    for digest, num_bytes in {file.digest: file.num_bytes for file in files}.items():
        refer(uow, store, workspace_id, digest, num_bytes, owner_id)
