"""The two entrances: what the first MiB of a file tells, and whole files as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from models.errors import TableFormatError
from models.features.reading.compression import UnpackBudget
from models.features.reading.csv_file import HEAD_BYTES
from models.features.reading.file_columns import FileColumns, check_same_columns, combined_column
from models.features.reading.formats import FORMATS, format_of
from models.features.reading.odd_rows import find_odd_rows
from models.features.reading.options import (
    FileRows,
    RawTable,
    ReadLimits,
    ReadOptions,
    Sniffed,
    SourceFile,
)
from models.features.reading.packed_files import plain_files, plain_head

_MAGIC_BYTES = 64 * 1024


def sniff(
    head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
) -> Sniffed:
    """Refuses early what the first MiB shows. `head`: the first bytes of the file; `filename`: only a hint.

    Raises: TableFormatError empty_file, header_only (only when `is_whole_file`), not_a_table, too_many_columns,
    duplicate_column, unknown_column, invalid_column_name, missing_header, second_header, unclosed_quote, unsupported_encoding,
    unsupported_format, unsupported_column_type, damaged_parquet, damaged_compression, decompressed_too_large,
    encrypted_file.
    """
    plain = plain_head(head, filename, limits, HEAD_BYTES, is_whole_file=is_whole_file)
    if head and not plain.head and not plain.is_whole_file:
        return Sniffed()  # an archive that does not begin with a table: the job sees
    head, filename, is_whole_file = plain
    reader = FORMATS[format_of(head, filename, options)]
    sniffed = reader.sniff(head, filename, options, limits, is_whole_file=is_whole_file)
    if sniffed.columns:
        _check_text_columns(options, sniffed.columns)
    return sniffed


def sniff_file(path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> Sniffed:
    """`sniff` of a file that lies whole on the disk."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        is_whole_file = not file.read(1)
    return sniff(head, filename, options, limits, is_whole_file=is_whole_file)


def naming_file(error: TableFormatError, position: int, name: str) -> TableFormatError:
    """The same error, saying which of several files it is about."""
    return TableFormatError(
        f"File {position} ({name}): {error.message}", code=error.code, **{**error.details, "file": position}
    )


def read_table(path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> RawTable:
    """One file; see `read_tables`. `filename` is the name it was sent under, only a hint."""
    return read_tables([SourceFile(path, filename)], options, limits)


def read_tables(
    files: Sequence[SourceFile], options: ReadOptions, limits: ReadLimits, *, scratch: Path | None = None
) -> RawTable:
    """Whole files as canonical columns, rows in the order of `files`, columns in the order of the first.

    Types are told over the rows of all files. The caps of `limits` hold for all files together. `scratch`: a
    private folder for what is unpacked; by default one in the system's temporary folder.

    Raises: TableFormatError, as `sniff`, and header_only, ragged_row, stray_quote, nul_byte, cell_too_long,
    invalid_encoding, too_many_rows, too_many_bytes, files_differ; each with the line where there is one, and with
    the position and name of the file where there are several.
    """
    num_bytes = sum(file.path.stat().st_size for file in files)
    if num_bytes > limits.max_bytes:
        raise TableFormatError(
            f"A table has at most {limits.max_bytes:,} bytes; this one has {num_bytes:,}. Send Parquet, or a part of it.",
            code="too_many_bytes", num_bytes=num_bytes,
        )  # fmt: skip
    parts: list[FileColumns] = []
    rows: list[FileRows] = []
    num_rows = 0
    for file, part in _parts(files, options, limits, scratch):
        position = len(rows) + 1
        rows.append(FileRows(position, file.name, num_rows, part.lines))
        parts.append(part)
        num_rows += part.frame.height
        if num_rows > limits.max_rows:
            raise TableFormatError(
                f"A table has at most {limits.max_rows:,} rows; these files have more. Send a part of them.",
                code="too_many_rows", file=position,
            )  # fmt: skip
        check_same_columns((rows[0].name, parts[0].frame.columns), (file.name, part.frame.columns), position)
    return _combined(parts, tuple(rows), options)


def _parts(
    files: Sequence[SourceFile], options: ReadOptions, limits: ReadLimits, scratch: Path | None
) -> Iterator[tuple[SourceFile, FileColumns]]:
    """Unpacked and read one after the other, so that only one lies unpacked on the disk at a time."""
    budget = UnpackBudget(limits.max_bytes)
    position = 0
    current, is_alone = files[0], len(files) == 1
    try:
        for packed in files:
            position, current = position + 1, packed
            with plain_files(packed, budget, scratch) as members:
                is_alone = len(files) == len(members) == 1
                for number, member in enumerate(members):
                    position, current = position + bool(number), member
                    yield member, _read_one(member, options, limits)
    except TableFormatError as error:
        if is_alone or "file" in error.details:
            raise
        raise naming_file(error, position, current.name) from error


def _read_one(file: SourceFile, options: ReadOptions, limits: ReadLimits) -> FileColumns:
    with file.path.open("rb") as opened:
        head = opened.read(_MAGIC_BYTES)
    part = FORMATS[format_of(head, file.name, options)].read(file.path, file.name, options, limits)
    _check_text_columns(options, part.frame.columns)
    return part


def _combined(parts: list[FileColumns], rows: tuple[FileRows, ...], options: ReadOptions) -> RawTable:
    columns: list[pl.Series] = []
    sniffed = parts[0].sniffed
    warnings = [
        note if len(parts) == 1 else f"File {file.position} ({file.name}): {note}"
        for part, file in zip(parts, rows, strict=True)
        for note in part.warnings
    ]
    for name in parts[0].frame.columns:
        column = combined_column(
            name, parts, keeps_text=name in options.text_columns, null_numbers=options.null_numbers
        )
        columns.append(column.series)
        warnings.extend(column.warnings)
    table = RawTable(frame=pl.DataFrame(columns), sniffed=sniffed, files=rows)
    is_odd = find_odd_rows(columns) if any(part.marks is not None for part in parts) else None
    if is_odd is not None:
        first = table.place_of_row(is_odd.arg_max() or 0)
        warnings.append(
            f"{int(is_odd.sum()):,} rows look unlike the others, the first is {first}: text that got between the records? "
            'Say {"odd_rows": "skip"} in the reading options to leave them out.'
        )
    return replace(table, warnings=tuple(warnings))


def _check_text_columns(options: ReadOptions, columns: Sequence[str]) -> None:
    missing = len(set(options.text_columns) - set(columns))
    if missing:
        raise TableFormatError(
            f"{missing} of the {len(options.text_columns)} names in text_columns are no column of the file; spelling and "
            "case count.",
            code="unknown_column",
        )
