"""The two entrances: what the first MiB tells, and the whole file."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from models.errors import TableFormatError
from models.features.reading.csv_file import HEAD_BYTES, inspect_head, read_csv
from models.features.reading.options import RawTable, ReadLimits, ReadOptions, Sniffed
from models.features.reading.parquet_file import parquet_schema, read_parquet
from models.features.reading.signatures import PARQUET_MAGIC, refuse_binary_text, refuse_other_formats

_UTF16_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def sniff(
    head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
) -> Sniffed:
    """Refuses early what the first MiB shows. `head`: the first bytes of the file; `filename`: only a hint.

    Raises: TableFormatError empty_file, header_only (only when `is_whole_file`), not_a_table, too_many_columns,
    duplicate_column, unknown_column, invalid_column_name, missing_header, second_header, unclosed_quote, unsupported_encoding,
    unsupported_format, unsupported_column_type, damaged_parquet.
    """
    if _format(head, filename, options) == "csv":
        head = head[:HEAD_BYTES] if not is_whole_file else head
        sniffed = inspect_head(head, filename, options, limits, is_whole_file=is_whole_file).sniffed
        _check_text_columns(options, sniffed.columns)
        return sniffed
    columns = tuple(parquet_schema(head, limits)) if is_whole_file else ()
    if is_whole_file:
        _check_text_columns(options, columns)
    return Sniffed(format="parquet", columns=columns)


def read_table(path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> RawTable:
    """The whole file as canonical columns. `filename` is the name it was sent under, only a hint.

    Raises: TableFormatError, as `sniff`, and header_only, ragged_row, stray_quote, nul_byte, cell_too_long,
    invalid_encoding, too_many_rows, too_many_bytes, each with the line where there is one.
    """
    num_bytes = path.stat().st_size
    if num_bytes > limits.max_bytes:
        raise TableFormatError(
            f"A file has at most {limits.max_bytes:,} bytes; this one has {num_bytes:,}. Send Parquet, or a part of it.",
            code="too_many_bytes", num_bytes=num_bytes,
        )  # fmt: skip
    with path.open("rb") as file:
        head = file.read(64 * 1024)
    if _format(head, filename, options) == "csv":
        table = read_csv(path, filename, options, limits)
    else:
        table = read_parquet(path, limits)
    _check_text_columns(options, table.frame.columns)
    return table


def _check_text_columns(options: ReadOptions, columns: Sequence[str]) -> None:
    missing = len(set(options.text_columns) - set(columns))
    if missing:
        raise TableFormatError(
            f"{missing} of the {len(options.text_columns)} names in text_columns are no column of the file; spelling and "
            "case count.",
            code="unknown_column",
        )


def _format(head: bytes, filename: str, options: ReadOptions) -> Literal["csv", "parquet"]:
    """By content; the name only helps to say what is wrong."""
    if not head:
        raise TableFormatError(
            "The file is empty (0 bytes). Check that it was written out.", code="empty_file"
        )
    if head.startswith(PARQUET_MAGIC) and (
        options.format == "parquet" or b"\0" in head or head.endswith(PARQUET_MAGIC)
    ):
        if options.format == "csv":
            raise TableFormatError(
                "The file is Parquet, but the reading options say CSV. Leave the format out.",
                code="unsupported_format",
            )
        return "parquet"
    if options.format == "parquet" or filename.lower().endswith((".parquet", ".pq")):
        raise TableFormatError(
            "The file is named or declared Parquet but does not start like it (PAR1): it is damaged or another format.",
            code="damaged_parquet",
        )
    refuse_other_formats(head)
    if not head.startswith(_UTF16_BOMS) and not (options.encoding or "").startswith("utf-16"):
        sample = head[: 64 * 1024]
        if sample[1::2].count(0) > len(sample) // 5 or sample[0::2].count(0) > len(sample) // 5:
            raise TableFormatError(
                "The file looks like UTF-16 without a byte order mark, or is binary. If it is text, say "
                '{"encoding": "utf-16-le"} in the reading options, or save it as UTF-8.',
                code="unsupported_encoding",
            )
        refuse_binary_text(sample)
    return "csv"
