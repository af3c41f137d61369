"""How much a Parquet file holds without compression, from its footer (Thrift compact protocol, parquet.thrift).

Polars reads the footer but does not show these sizes. FileMetaData: field 4 lists the row groups; RowGroup: field 2
is `total_byte_size`, the uncompressed size of its column data.
"""

from __future__ import annotations

from pathlib import Path

_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(13)
_ROW_GROUPS, _TOTAL_BYTE_SIZE = 4, 2
_MAX_DEPTH = 16
_MAX_FOOTER_BYTES = 256 * 1024 * 1024


def uncompressed_bytes(path: Path) -> int | None:
    """Bytes of all row groups; None for a footer that cannot be understood."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little")
        if length > min(size - 12, _MAX_FOOTER_BYTES):
            return None
        file.seek(size - 8 - length)
        footer = file.read(length)
    try:
        sizes = _Reader(footer).row_group_sizes()
    except (IndexError, ValueError):
        return None
    return None if any(found < 0 for found in sizes) else sum(sizes)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def row_group_sizes(self) -> list[int]:
        sizes: list[int] = []
        field = 0
        while (header := self._byte()) & 0x0F != _STOP:
            field = self._field(header, field)
            if field == _ROW_GROUPS and header & 0x0F == _LIST:
                num_groups, kind = self._list_header()
                if kind != _STRUCT:
                    raise ValueError
                sizes.extend(self._total_byte_size() for _ in range(num_groups))
            else:
                self._skip(header & 0x0F, 0)
        return sizes

    def _total_byte_size(self) -> int:
        found = field = 0
        while (header := self._byte()) & 0x0F != _STOP:
            field = self._field(header, field)
            if field == _TOTAL_BYTE_SIZE and header & 0x0F == _I64:
                found = self._zigzag()
            else:
                self._skip(header & 0x0F, 0)
        return found

    def _field(self, header: int, before: int) -> int:
        delta = header >> 4
        return before + delta if delta else self._zigzag()

    def _skip(self, kind: int, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ValueError
        if kind in (_TRUE, _FALSE):
            return
        if kind == _BYTE:
            self._at += 1
        elif kind in (_I16, _I32, _I64):
            self._varint()
        elif kind == _DOUBLE:
            self._at += 8
        elif kind == _BINARY:
            num_bytes = self._varint()
            self._at += num_bytes
        elif kind in (_LIST, _SET):
            num_items, item = self._list_header()
            for _ in range(num_items):
                self._skip_item(item, depth + 1)
        elif kind == _MAP:
            if num_items := self._varint():
                kinds = self._byte()
                for _ in range(num_items):
                    self._skip_item(kinds >> 4, depth + 1)
                    self._skip_item(kinds & 0x0F, depth + 1)
        elif kind == _STRUCT:
            while (header := self._byte()) & 0x0F != _STOP:
                self._field(header, 0)
                self._skip(header & 0x0F, depth + 1)
        else:
            raise ValueError

    def _skip_item(self, kind: int, depth: int) -> None:
        """In a list a boolean takes a byte; in a struct it is part of the field's header."""
        self._skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth)
        if self._at > len(self._data):
            raise IndexError

    def _list_header(self) -> tuple[int, int]:
        header = self._byte()
        num_items = header >> 4
        return (self._varint() if num_items == 15 else num_items), header & 0x0F

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
