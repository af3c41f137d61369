"""Files that may be compressed, as the plain files in them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from models.features.reading.compression import UnpackBudget, compression_of, unpack, unpacked_head
from models.features.reading.options import ReadLimits, SourceFile
from models.features.reading.zip_file import first_member_head, unpack_members, whole_archive_head

_SUFFIXES = (".gz", ".gzip", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_MAGIC_BYTES = 64


class PlainHead(NamedTuple):
    """The beginning of a plain file; no bytes where it cannot be told before the whole file is there."""

    head: bytes
    name: str
    is_whole_file: bool


def plain_head(
    head: bytes, name: str, limits: ReadLimits, max_bytes: int, *, is_whole_file: bool
) -> PlainHead:
    """Raises: TableFormatError damaged_compression, decompressed_too_large, encrypted_file, empty_file, not_a_table."""
    compression = compression_of(head)
    if compression is None:
        return PlainHead(head, name, is_whole_file)
    if compression != "zip":
        plain, is_whole = unpacked_head(head, compression, max_bytes, is_whole_file=is_whole_file)
        return PlainHead(plain, _without_suffix(name), is_whole)
    if is_whole_file:
        return PlainHead(*_reordered(whole_archive_head(head, max_bytes, UnpackBudget(limits.max_bytes))))
    member, plain = first_member_head(head, max_bytes)
    return PlainHead(plain, member, is_whole_file=False)


@contextmanager
def plain_files(
    file: SourceFile, budget: UnpackBudget, scratch: Path | None
) -> Iterator[tuple[SourceFile, ...]]:
    """The file itself, or what it unpacks to, in a new private folder that is gone afterwards.

    Raises: TableFormatError, as `plain_head`.
    """
    with file.path.open("rb") as opened:
        compression = compression_of(opened.read(_MAGIC_BYTES))
    if compression is None:
        yield (file,)
        return
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="unpacked-", dir=scratch))  # mode 0700
    try:
        if compression == "zip":
            yield tuple(unpack_members(file.path, folder, budget))
        else:
            unpack(file.path, compression, folder / "plain", budget)
            yield (SourceFile(folder / "plain", _without_suffix(file.name)),)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _reordered(found: tuple[str, bytes, bool]) -> tuple[bytes, str, bool]:
    name, head, is_whole = found
    return head, name, is_whole


def _without_suffix(name: str) -> str:
    """`orders.tsv.gz` is read as `orders.tsv`."""
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(suffix)] or name
