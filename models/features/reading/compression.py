"""Compressed files: told by their first bytes, looked into by their head, unpacked with a cap.

Supported: gzip, zstd, bzip2, xz, and zip, whose members are files of one table in the order of their names. What is
unpacked is bounded while it is written, so that a few KiB cannot fill the disk; a stream that ends too early, or goes
on with rubbish, is refused rather than read as far as it goes.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import zstandard

from models.errors import TableFormatError

CompressionName = Literal["gzip", "zstd", "bzip2", "xz", "zip"]

_MAGIC: tuple[tuple[bytes, CompressionName], ...] = (
    (b"\x1f\x8b\x08", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
)  # fmt: skip
_BZIP2_BLOCK = b"1AY&SY"  # `BZh` alone may open a CSV header
_PIECE = 256 * 1024
_FREE_RATIO_BYTES = 64 * 1024 * 1024
_MAX_RATIO = 1_000  # gzip cannot do more than 1,032; tables stay far below
_MAX_XZ_MEMORY = 512 * 1024 * 1024
_MAX_ZSTD_WINDOW = 128 * 1024 * 1024  # 2^27, what the zstd tool itself allows by default

_ERRORS = (zlib.error, EOFError, OSError, ValueError, lzma.LZMAError, zstandard.ZstdError, MemoryError)


class _Decompressor(Protocol):
    """As in `bz2` and `lzma`: one stream, fed in pieces, giving at most `max_length` bytes at a time."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class ZlibStream:
    """`zlib` with the interface of its siblings; `wbits` as in `zlib.decompressobj`."""

    def __init__(self, wbits: int) -> None:
        self._stream = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        out = self._stream.decompress(self._stream.unconsumed_tail + data, max(0, max_length))
        self.needs_input = not self._stream.unconsumed_tail and len(out) < max_length
        return out


class _ZstdStream:
    """One zstd frame, fed in small slices: the library takes no bound on what one slice gives, but a slice of 128
    bytes cannot hold more than a few blocks of 128 KiB."""

    _SLICE = 128

    def __init__(self) -> None:
        context = zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW)
        self._stream = context.decompressobj()
        self._waiting = b""
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._waiting += data
        out: list[bytes] = []
        num_bytes = 0
        position = 0
        while position < len(self._waiting) and not self.eof and (max_length < 0 or num_bytes < max_length):
            piece = self._waiting[position : position + self._SLICE]
            position += len(piece)
            got = self._stream.decompress(piece)
            num_bytes += len(got)
            out.append(got)
            if self._stream.eof:
                self.eof = True
                self.unused_data = self._stream.unused_data + self._waiting[position:]
        self._waiting = b"" if self.eof else self._waiting[position:]
        self.needs_input = not self._waiting
        return b"".join(out)


STREAMS: dict[CompressionName, Callable[[], _Decompressor]] = {
    "gzip": lambda: ZlibStream(31),
    "zstd": _ZstdStream,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_XZ_MEMORY),
}


def compression_of(head: bytes) -> CompressionName | None:
    """By content; None for a file that is not compressed."""
    found = next((name for magic, name in _MAGIC if head.startswith(magic)), None)
    if found == "bzip2" and head[4:10] != _BZIP2_BLOCK and head[4:10] != b"\x17rE8P\x90":
        return None
    return found


def unpacked_head(
    head: bytes, name: CompressionName, max_bytes: int, *, is_whole_file: bool
) -> tuple[bytes, bool]:
    """The first `max_bytes` that the beginning of a stream holds, and whether that is all there is.

    Raises: TableFormatError damaged_compression.
    """
    out = bytearray()
    try:
        for piece in _pieces(io.BytesIO(head), name, UnpackBudget(max_bytes + 2 * _PIECE)):
            out += piece
            if len(out) > max_bytes:
                return bytes(out[:max_bytes]), False
    except EOFError:
        if is_whole_file:
            raise damaged(name) from None
        return bytes(out), False
    except _ERRORS:
        raise damaged(name) from None
    return bytes(out), is_whole_file


def unpack(source: Path, name: CompressionName, out: Path, budget: UnpackBudget) -> None:
    """Raises: TableFormatError damaged_compression, decompressed_too_large."""
    with source.open("rb") as packed, out.open("xb") as unpacked:
        out.chmod(0o600)
        for piece in unpacked_pieces(packed, name, budget):
            unpacked.write(piece)


class UnpackBudget:
    """What may still be written; shared by all files of a table."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0

    def spend(self, num_bytes: int, num_packed: int) -> None:
        """`num_packed`: compressed bytes taken in so far for this file.

        Raises: TableFormatError decompressed_too_large.
        """
        self._num_bytes += num_bytes
        is_bomb = self._num_bytes > _FREE_RATIO_BYTES and self._num_bytes > _MAX_RATIO * max(1, num_packed)
        if self._num_bytes > self._max_bytes or is_bomb:
            what = (
                "more than a thousand times its size" if is_bomb else f"more than {self._max_bytes:,} bytes"
            )
            raise TableFormatError(
                f"The compressed file unpacks to {what}, which is not taken. Send a part of it, or Parquet.",
                code="decompressed_too_large", max_bytes=self._max_bytes,
            )  # fmt: skip

    def give_back(self, num_bytes: int) -> None:
        self._num_bytes -= num_bytes


def unpacked_pieces(packed: BinaryIO, name: CompressionName, budget: UnpackBudget) -> Iterator[bytes]:
    """Everything in `packed`. Raises: TableFormatError damaged_compression, decompressed_too_large."""
    try:
        yield from _pieces(packed, name, budget)
    except _ERRORS:
        raise damaged(name) from None


def _pieces(packed: BinaryIO, name: CompressionName, budget: UnpackBudget) -> Iterator[bytes]:
    """One stream, or several after each other as `cat` and parallel tools write them.

    Raises: EOFError where the last stream is cut; `_ERRORS`.
    """
    stream = STREAMS[name]()
    data = b""
    num_packed = 0
    while True:
        if not data and stream.needs_input:
            data = packed.read(_PIECE)
            num_packed += len(data)
            if not data:
                raise EOFError
        piece = stream.decompress(data, _PIECE)
        data = b""
        if piece:
            budget.spend(len(piece), num_packed)
            yield piece
        if stream.eof:
            data = stream.unused_data
            while not data.strip(b"\0"):  # the end, or the zeros that tapes and xz pad with
                data = packed.read(_PIECE)
                num_packed += len(data)
                if not data:
                    return
            stream = STREAMS[name]()


def damaged(name: CompressionName) -> TableFormatError:
    return TableFormatError(
        f"The {name} file is damaged or was cut short: it does not unpack to its end. Write or send it again.",
        code="damaged_compression",
    )
