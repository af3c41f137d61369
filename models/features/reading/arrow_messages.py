"""How many rows and uncompressed bytes an Arrow IPC file holds, from its messages, before any of it is unpacked.

Format: "Arrow Columnar Format", section IPC: each message is a continuation mark, the length of its metadata (a
flatbuffer `Message`), the metadata, and a body of buffers. Of a compressed buffer the first eight bytes are its
uncompressed length (-1: stored as it is). A file has the same messages, and a footer that lists them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_CONTINUATION = 0xFFFFFFFF
_DICTIONARY, _RECORDS = 2, 3  # MessageHeader union
_MAX_METADATA_BYTES = 256 * 1024 * 1024
# Fields of the flatbuffer tables, by position in Message.fbs.
_HEADER_TYPE, _HEADER, _BODY_LENGTH = 1, 2, 3
_LENGTH, _NODES, _BUFFERS, _COMPRESSION = 0, 1, 2, 3
_DICTIONARY_DATA = 1
_FOOTER_DICTIONARIES, _FOOTER_RECORDS = 2, 3


class ArrowSize(NamedTuple):
    num_rows: int
    num_bytes: int


def uncompressed_size(path: Path, *, is_file: bool) -> ArrowSize | None:
    """None for messages that cannot be understood."""
    size = path.stat().st_size
    num_rows = num_bytes = 0
    try:
        with path.open("rb") as file:
            for metadata, body in _messages_of_file(file, size) if is_file else _messages_of_stream(file):
                message = _Table.root(metadata)
                kind, body_bytes = message.u8(_HEADER_TYPE), message.i64(_BODY_LENGTH)
                if body_bytes < 0 or body + body_bytes > size:
                    return None
                header = message.table(_HEADER)
                if kind == _DICTIONARY and header is not None:
                    header = header.table(_DICTIONARY_DATA)
                if kind in (_DICTIONARY, _RECORDS) and header is not None:
                    rows = header.i64(_LENGTH)
                    if rows < 0:
                        return None
                    num_rows += rows if kind == _RECORDS else 0
                    num_bytes += _unpacked(file, header, body, body_bytes)
    except (struct.error, ValueError, IndexError, OSError):
        return None
    return ArrowSize(num_rows, num_bytes)


def _messages_of_stream(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Metadata of each message, and where its body starts."""
    while (metadata := _metadata(file)) is not None:
        body = file.tell()
        yield metadata, body
        file.seek(body + _Table.root(metadata).i64(_BODY_LENGTH))


def _messages_of_file(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The footer lists where dictionaries and record batches are; behind it stand its length and the magic."""
    file.seek(max(0, size - 10))
    length = struct.unpack("<I", file.read(4))[0]
    file.seek(size - 10 - length)
    footer = _Table.root(file.read(length))
    for field in (_FOOTER_DICTIONARIES, _FOOTER_RECORDS):
        for offset, _, _ in footer.structs(field, "<qi4xq"):
            file.seek(offset)
            metadata = _metadata(file)
            if metadata is None:
                raise ValueError
            yield metadata, file.tell()


def _metadata(file: BinaryIO) -> bytes | None:
    """The next message; None at the end of the stream."""
    mark = file.read(4)
    if len(mark) < 4:
        return None
    length = int.from_bytes(mark, "little")
    if length == _CONTINUATION:
        length = struct.unpack("<I", file.read(4))[0]
    if length == 0:
        return None
    if length > _MAX_METADATA_BYTES:
        raise ValueError
    metadata = file.read(length)
    if len(metadata) < length:
        raise ValueError
    return metadata


def _unpacked(file: BinaryIO, batch: _Table, body: int, body_bytes: int) -> int:
    if batch.table(_COMPRESSION) is None:
        return body_bytes
    total = 0
    for offset, length in batch.structs(_BUFFERS, "<qq"):
        if length < 8:
            continue
        file.seek(body + offset)
        stated = struct.unpack("<q", file.read(8))[0]
        total += length if stated == -1 else stated
        if stated < -1:
            raise ValueError
    return total


class _Table:
    """A table of a flatbuffer: fields are found through its vtable, absent ones are zero."""

    def __init__(self, data: bytes, at: int) -> None:
        if not 0 <= at < len(data):
            raise ValueError
        self._data = data
        self._at = at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        if not 0 <= self._vtable < len(data):
            raise ValueError
        self._vtable_bytes = struct.unpack_from("<H", data, self._vtable)[0]

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from("<I", data, 0)[0])

    def u8(self, field: int) -> int:
        at = self._field(field)
        return 0 if at is None else self._data[at]

    def i64(self, field: int) -> int:
        at = self._field(field)
        return 0 if at is None else int(struct.unpack_from("<q", self._data, at)[0])

    def table(self, field: int) -> _Table | None:
        at = self._field(field)
        return None if at is None else _Table(self._data, at + struct.unpack_from("<I", self._data, at)[0])

    def structs(self, field: int, form: str) -> list[tuple[int, ...]]:
        """A vector of structs, each as `struct` unpacks `form`."""
        at = self._field(field)
        if at is None:
            return []
        at += struct.unpack_from("<I", self._data, at)[0]
        num_items = struct.unpack_from("<I", self._data, at)[0]
        end = at + 4 + num_items * struct.calcsize(form)
        if end > len(self._data):
            raise ValueError
        return list(struct.iter_unpack(form, self._data[at + 4 : end]))

    def _field(self, field: int) -> int | None:
        slot = 4 + 2 * field
        if slot >= self._vtable_bytes:
            return None
        offset = struct.unpack_from("<H", self._data, self._vtable + slot)[0]
        return self._at + offset if offset else None
