"""Rows of a table on their way to the service: files, data frames, or files that lie on the server already."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from rootstock_client.errors import InvalidArgumentError
from rootstock_client.frames import parquet_bytes
from rootstock_client.server_files import ServerFiles
from rootstock_client.transport import FileParts

OCTETS = "application/octet-stream"
_TEXT_FIELDS = frozenset({"name", "mode", "on_conflict", "drift"})

FilePath = str | PathLike[str]


Source = FilePath | Sequence[FilePath] | pl.DataFrame | ServerFiles
"""A file, several files with the same columns, a data frame, or files of the server."""


def sending(name: str, source: Source, fields: Mapping[str, str]) -> dict[str, Any]:
    """Arguments of `Transport.call` for a form with `fields` and the files of `source`; in JSON where those lie on the
    server. Files are opened anew for every attempt, so that a retry sends all of them.

    Raises:
        InvalidArgumentError: a file is not there, or none is named.
    """
    if isinstance(source, ServerFiles):
        said = {key: text if key in _TEXT_FIELDS else json.loads(text) for key, text in fields.items()}
        return {"body": {**said, "source": {"folder": source.folder, "pattern": source.pattern}}}
    if isinstance(source, pl.DataFrame):
        content = parquet_bytes(source)
        return {"fields": fields, "upload": lambda _: [("file", (f"{name}.parquet", content, OCTETS))]}
    named = [source] if isinstance(source, str | PathLike) else list(source)
    paths = [Path(path) for path in named]
    for path in paths:
        if not path.is_file():
            raise InvalidArgumentError(f"there is no file {str(path)!r}", code="no_such_file")
    if not paths:
        raise InvalidArgumentError("no file is named: a table needs at least one", code="no_such_file")
    return {"fields": fields, "upload": _opener(paths)}


def _opener(paths: Sequence[Path]) -> Callable[[ExitStack], FileParts]:
    def open_file(path: Path, stack: ExitStack) -> tuple[str, Any, str]:
        try:
            return path.name, stack.enter_context(path.open("rb")), OCTETS
        except OSError as error:
            raise InvalidArgumentError(
                f"the file {str(path)!r} cannot be opened: {error.strerror}", code="unreadable_file"
            ) from error

    return lambda stack: [("file", open_file(path, stack)) for path in paths]
