"""Zip archives of tables: what their first bytes tell, and their members unpacked, sorted by name."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from models.errors import TableFormatError
from models.features.reading.compression import UnpackBudget, ZlibStream, damaged
from models.features.reading.options import SourceFile

_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _HAS_DESCRIPTOR = 0x1, 0x8
_MAX_MEMBERS = 1_000
_PIECE = 256 * 1024
_OFFICE = ("[Content_Types].xml", "xl/", "word/", "ppt/", "_rels/", "mimetype")
_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)


def first_member_head(head: bytes, max_bytes: int) -> tuple[str, bytes]:
    """Name and first bytes of the first member, from the beginning of the archive; no bytes where they cannot be had.

    Raises: TableFormatError not_a_table (an office document), encrypted_file, damaged_compression.
    """
    if len(head) < _LOCAL_HEADER.size:
        raise damaged("zip")
    _, _, flags, method, _, _, _, packed, _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(head)
    start = _LOCAL_HEADER.size + name_bytes
    name = head[_LOCAL_HEADER.size : start].decode("utf-8", "replace").replace("\0", "")
    _refuse_office([name])
    if flags & _ENCRYPTED:
        raise _encrypted()
    if not _is_table(name):
        return name, b""
    data = head[start + extra_bytes :]
    if method == _STORED and not flags & _HAS_DESCRIPTOR:
        return name, data[: min(packed, max_bytes)]
    if method != _DEFLATED:
        return name, b""
    try:
        return name, ZlibStream(-15).decompress(data, max_bytes)
    except zlib.error:
        raise damaged("zip") from None


def unpack_members(source: Path, out: Path, budget: UnpackBudget) -> list[SourceFile]:
    """The tables of the archive as files in the folder `out`.

    Raises: TableFormatError not_a_table, encrypted_file, empty_file, too_many_files, damaged_compression,
    decompressed_too_large.
    """
    files: list[SourceFile] = []
    num_packed = source.stat().st_size
    with _opened(source) as archive:
        members = _tables_of(archive)
        _check_stated(members, budget, num_packed)
        for number, member in enumerate(members):
            path = out / f"member-{number}"  # never under a name of the archive's
            with path.open("xb") as unpacked:
                path.chmod(0o600)
                for piece in _pieces(archive, member):
                    budget.spend(len(piece), num_packed)
                    unpacked.write(piece)
            files.append(SourceFile(path, _shown(member.filename)))
    return files


def whole_archive_head(archive_bytes: bytes, max_bytes: int, budget: UnpackBudget) -> tuple[str, bytes, bool]:
    """Of an archive in memory: name and first bytes of the member that is read first, and whether they are all.

    Raises: TableFormatError, as `unpack_members`.
    """
    with _opened(io.BytesIO(archive_bytes)) as archive:
        members = _tables_of(archive)
        _check_stated(members, budget, len(archive_bytes))
        out = bytearray()
        for piece in _pieces(archive, members[0]):
            out += piece
            if len(out) > max_bytes:
                break
    return _shown(members[0].filename), bytes(out[:max_bytes]), len(out) <= max_bytes


def _opened(source: Path | BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(source)
    except _ERRORS:
        raise damaged("zip") from None


def _check_stated(members: list[zipfile.ZipInfo], budget: UnpackBudget, num_packed: int) -> None:
    """What the archive itself says it holds, before anything is written. Raises: decompressed_too_large."""
    stated = sum(member.file_size for member in members)
    budget.spend(stated, num_packed)
    budget.give_back(stated)


def _tables_of(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    infos = archive.infolist()
    _refuse_office([info.filename for info in infos])
    members = sorted(
        (info for info in infos if not info.is_dir() and _is_table(info.filename)),
        key=lambda info: info.filename,
    )
    if not members:
        raise TableFormatError("The zip archive holds no file, so no table.", code="empty_file")
    if len(members) > _MAX_MEMBERS:
        raise TableFormatError(
            f"A table comes in at most {_MAX_MEMBERS:,} files; this archive has {len(members):,}.",
            code="too_many_files",
        )
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise _encrypted()
    return members


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """`zipfile` gives no more than a member says it holds, and checks its sum at the end.

    Raises: TableFormatError damaged_compression.
    """
    try:
        packed = archive.open(member)
    except _ERRORS:
        raise damaged("zip") from None
    with packed:
        while True:
            try:
                piece = packed.read(_PIECE)
            except _ERRORS:
                raise damaged("zip") from None
            if not piece:
                return
            yield piece


def _is_table(name: str) -> bool:
    """Not what archivers of some systems add: resource forks, hidden files."""
    path = PurePosixPath(name)
    return (
        bool(path.name)
        and not name.endswith("/")
        and not any(part.startswith((".", "__MACOSX")) for part in path.parts if part not in (".", ".."))
    )


def _shown(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable())[-255:] or "member"


def _refuse_office(names: list[str]) -> None:
    if any(name.startswith(_OFFICE) for name in names):
        raise TableFormatError(
            "This file is an Excel workbook or another office document, not a table. Save the sheet as CSV.",
            code="not_a_table",
        )


def _encrypted() -> TableFormatError:
    return TableFormatError(
        "The zip archive is encrypted. Unpack it and send what is in it.", code="encrypted_file"
    )
