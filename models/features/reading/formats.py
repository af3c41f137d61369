"""The file formats, told by what a file begins with. A new format is one file and one line in `FORMATS`."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from models.errors import TableFormatError
from models.features.reading.arrow_file import ArrowFile
from models.features.reading.csv_file import CsvFile
from models.features.reading.file_columns import FileColumns
from models.features.reading.json_lines_file import JsonLinesFile
from models.features.reading.options import FormatName, ReadLimits, ReadOptions, Sniffed
from models.features.reading.parquet_file import ParquetFile


class FileFormat(Protocol):
    """Reads files of one format."""

    @property
    def word(self) -> str:
        """What messages call it."""
        ...

    def recognises(self, head: bytes, options: ReadOptions) -> bool:
        """Whether a file that begins with `head` (not empty) has this format; the name of a file is no evidence."""
        ...

    def sniff(
        self, head: bytes, filename: str, options: ReadOptions, limits: ReadLimits, *, is_whole_file: bool
    ) -> Sniffed:
        """What the beginning says. Raises: TableFormatError."""
        ...

    def read(self, path: Path, filename: str, options: ReadOptions, limits: ReadLimits) -> FileColumns:
        """Raises: TableFormatError."""
        ...


FORMATS: dict[FormatName, FileFormat] = {
    "parquet": ParquetFile(),
    "arrow": ArrowFile(),
    "json_lines": JsonLinesFile(),
    "csv": CsvFile(),  # last: any text may be one
}


def format_of(head: bytes, filename: str, options: ReadOptions) -> FormatName:
    """By content; the name only helps to say what is wrong.

    Raises: TableFormatError empty_file, unsupported_format, damaged_parquet, not_a_table, unsupported_encoding.
    """
    if not head:
        raise TableFormatError(
            "The file is empty (0 bytes). Check that it was written out.", code="empty_file"
        )
    found = next(name for name, reader in FORMATS.items() if reader.recognises(head, options))
    if options.format is not None and options.format != found:
        _refuse_other_than(options.format, found)
    named = filename.lower()
    if found == "csv" and named.endswith((".parquet", ".pq")):
        _refuse_other_than("parquet", found)
    return found


def _refuse_other_than(stated: FormatName, found: FormatName) -> None:
    if stated == "parquet" and found == "csv":
        raise TableFormatError(
            "The file is named or declared Parquet but does not start like it (PAR1): it is damaged or another format.",
            code="damaged_parquet",
        )
    raise TableFormatError(
        f"The file is {FORMATS[found].word}, but the reading options say {FORMATS[stated].word}. Leave the format out.",
        code="unsupported_format",
    )
