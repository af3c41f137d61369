"""Reads a Parquet file into canonical columns."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from models.errors import TableFormatError
from models.features.reading.file_columns import FileColumns
from models.features.reading.options import ReadLimits, ReadOptions, Sniffed
from models.features.reading.parquet_footer import uncompressed_bytes
from models.features.reading.signatures import PARQUET_MAGIC
from models.features.reading.typed_columns import (
    READ_ERRORS,
    canonical_columns,
    check_num_rows,
    check_schema,
    unreadable,
)

_DAMAGED = (
    "The file starts like Parquet but cannot be read: it is damaged or was cut short. Write or send it again."
)


class ParquetFile:
    word = "Parquet"

    def recognises(self, head: bytes, options: ReadOptions) -> bool:
        """`PAR1` alone may open a CSV header; Parquet goes on with bytes that no text has, or ends with it."""
        is_sure = options.format == "parquet" or b"\0" in head or head.endswith(PARQUET_MAGIC)
        return head.startswith(PARQUET_MAGIC) and is_sure

    def sniff(
        self, head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
    ) -> Sniffed:
        """The schema stands at the end of the file."""
        columns = tuple(parquet_schema(head, limits)) if is_whole_file else ()
        return Sniffed(format="parquet", columns=columns)

    def read(self, path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
        return read_parquet(path, limits)


def parquet_schema(source: Path | bytes, limits: ReadLimits) -> pl.Schema:
    """Names and polars types, checked.

    Raises: TableFormatError damaged_parquet, unsupported_column_type, duplicate_column, invalid_column_name,
    too_many_columns.
    """
    _check_frame(source)
    try:
        schema = pl.Schema(
            pl.read_parquet_schema(io.BytesIO(source) if isinstance(source, bytes) else source)
        )
    except pl.exceptions.DuplicateError as error:
        raise TableFormatError(
            "Column names must differ; two columns of this Parquet file share one. Rename one of them.",
            code="duplicate_column",
        ) from error
    except READ_ERRORS as error:
        raise unreadable(error, "Parquet", "damaged_parquet") from error
    check_schema(schema, limits)
    return schema


def read_parquet(path: Path, limits: ReadLimits) -> FileColumns:
    """Raises: TableFormatError, as `parquet_schema`, and header_only, too_many_rows, cell_too_long,
    value_out_of_range."""
    parquet_schema(path, limits)
    try:
        num_rows = int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
        check_num_rows(num_rows, limits)
        _check_unpacked(path, limits)
        frame = pl.read_parquet(path, glob=False, use_statistics=False, hive_partitioning=False)
    except READ_ERRORS as error:
        raise unreadable(error, "Parquet", "damaged_parquet") from error
    return canonical_columns(frame, "parquet", limits)


def _check_frame(source: Path | bytes) -> None:
    """The magic stands at both ends."""
    if isinstance(source, bytes):
        is_framed = len(source) >= 12 and source.startswith(PARQUET_MAGIC) and source.endswith(PARQUET_MAGIC)
    else:
        with source.open("rb") as file:
            head = file.read(4)
            file.seek(max(0, source.stat().st_size - 4))
            is_framed = (
                source.stat().st_size >= 12 and head == PARQUET_MAGIC and file.read(4) == PARQUET_MAGIC
            )
    if not is_framed:
        raise TableFormatError(_DAMAGED, code="damaged_parquet")


def _check_unpacked(path: Path, limits: ReadLimits) -> None:
    """What the row groups say they hold without compression, before any of it is in memory."""
    num_bytes = uncompressed_bytes(path)
    if num_bytes is None:
        raise TableFormatError(_DAMAGED, code="damaged_parquet")
    if num_bytes > limits.max_bytes:
        raise TableFormatError(
            f"The Parquet file unpacks to {num_bytes:,} bytes; a table has at most {limits.max_bytes:,}. Send a part of it.",
            code="decompressed_too_large", max_bytes=limits.max_bytes,
        )  # fmt: skip
