"""Files into tables without loss: `sniff` looks at the first MiB, `read_tables` reads whole files."""

from models.features.reading.file_columns import check_same_columns
from models.features.reading.options import (
    FileRows,
    RawTable,
    ReadLimits,
    ReadOptions,
    RowLines,
    Sniffed,
    SourceFile,
)
from models.features.reading.table import naming_file, read_table, read_tables, sniff, sniff_file

__all__ = [
    "FileRows",
    "RawTable",
    "ReadLimits",
    "ReadOptions",
    "RowLines",
    "Sniffed",
    "SourceFile",
    "check_same_columns",
    "naming_file",
    "read_table",
    "read_tables",
    "sniff",
    "sniff_file",
]
