"""Arrow IPC, as file (Feather) and as stream, into canonical columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from models.errors import TableFormatError
from models.features.reading.arrow_messages import uncompressed_size
from models.features.reading.file_columns import FileColumns
from models.features.reading.options import ReadLimits, ReadOptions, Sniffed
from models.features.reading.typed_columns import (
    READ_ERRORS,
    canonical_columns,
    check_num_rows,
    check_schema,
    unreadable,
)

FILE_MAGIC = b"ARROW1\0\0"
_CONTINUATION = b"\xff\xff\xff\xff"
_DAMAGED = "The file starts like Arrow IPC but cannot be read: it is damaged or was cut short. Write or send it again."


class ArrowFile:
    word = "Arrow IPC"

    def recognises(self, head: bytes, options: ReadOptions) -> bool:
        """A stream begins with the length of its schema message, a small number, after the continuation mark."""
        is_stream = head.startswith(_CONTINUATION) and 0 < int.from_bytes(head[4:8], "little") < 1 << 28
        return head.startswith(FILE_MAGIC) or is_stream

    def sniff(
        self, head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
    ) -> Sniffed:
        """The names are told by the job: of the two forms only one begins with its schema."""
        return Sniffed(format="arrow")

    def read(self, path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
        """Raises: TableFormatError damaged_arrow, decompressed_too_large, header_only, value_out_of_range, and as
        `check_schema`."""
        with path.open("rb") as file:
            is_file = file.read(len(FILE_MAGIC)) == FILE_MAGIC
        size = uncompressed_size(path, is_file=is_file)
        if size is None:
            raise TableFormatError(_DAMAGED, code="damaged_arrow")
        if size.num_bytes > limits.max_bytes:
            raise TableFormatError(
                f"The Arrow file unpacks to {size.num_bytes:,} bytes; a table has at most {limits.max_bytes:,}. Send a "
                "part of it.",
                code="decompressed_too_large", max_bytes=limits.max_bytes,
            )  # fmt: skip
        check_num_rows(size.num_rows, limits)
        try:
            frame = pl.read_ipc(path) if is_file else pl.read_ipc_stream(path)
        except pl.exceptions.DuplicateError as error:
            raise TableFormatError(
                "Column names must differ; two columns of this Arrow file share one. Rename one of them.",
                code="duplicate_column",
            ) from error
        except READ_ERRORS as error:
            raise unreadable(error, self.word, "damaged_arrow") from error
        check_schema(frame.schema, limits)
        if frame.height != size.num_rows:
            raise TableFormatError(_DAMAGED, code="damaged_arrow")
        return canonical_columns(frame, "arrow", limits)
