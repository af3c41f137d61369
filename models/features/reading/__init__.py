"""Files into tables without loss: `sniff` looks at the first MiB, `read_table` reads the whole file."""

from models.features.reading.options import RawTable, ReadLimits, ReadOptions, RowLines, Sniffed
from models.features.reading.table import read_table, sniff

__all__ = ["RawTable", "ReadLimits", "ReadOptions", "RowLines", "Sniffed", "read_table", "sniff"]
