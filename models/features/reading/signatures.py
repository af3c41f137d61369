"""Files that are no table, told by their first bytes whatever their name says."""

from __future__ import annotations

import re

from models.errors import TableFormatError

PARQUET_MAGIC = b"PAR1"

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF document", "Export the table as CSV or Parquet."),
    (b"PK\x03\x04", "a zip archive in a compressed file", "Send the archive itself."),
    (b"PK\x05\x06", "an empty zip archive", "Send a CSV or Parquet file."),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "Save the sheet as CSV."),
    (b"\x1f\x8b", "a file that is compressed twice", "Unpack it once."),
    (b"\xfd7zXZ", "a file that is compressed twice", "Unpack it once."),
    (b"\x28\xb5\x2f\xfd", "a file that is compressed twice", "Unpack it once."),
    (b"7z\xbc\xaf", "a 7-zip archive", "Unpack it first."),
    (b"Rar!", "a RAR archive", "Unpack it first."),
    (b"\x89PNG", "a PNG image", "Send a CSV or Parquet file."),
    (b"\xff\xd8\xff", "a JPEG image", "Send a CSV or Parquet file."),
    (b"GIF8", "a GIF image", "Send a CSV or Parquet file."),
    (b"SQLite format 3", "an SQLite database", "Export the table as CSV or Parquet."),
    (b"Obj\x01", "an Avro file", "Save it as Parquet."),
    (b"ORC", "an ORC file", "Save it as Parquet."),
    (b"\x89HDF", "an HDF5 file", "Save the table as Parquet."),
    (b"\x7fELF", "a program", "Send a CSV or Parquet file."),
    (b"RIFF", "an audio, video or image file", "Send a CSV or Parquet file."),
    (b"\x80\x04\x95", "a pickle", "Save the table as Parquet; pickles are never read."),
)

_MARKUP = re.compile(rb"\s*(?:<!doctype\b|<html\b|<\?xml\b|<svg\b)", re.IGNORECASE)
_JSON = re.compile(rb'\s*(?:\{\s*(?:"(?:[^"\\]|\\.)*"\s*:|\})|\[\s*(?:\{\s*"|\[\s*["\d]))')


def refuse_other_formats(head: bytes) -> None:
    """`head`: the first bytes of the file, at least 64 unless it is shorter.

    Raises: TableFormatError not_a_table.
    """
    for magic, what, remedy in _SIGNATURES:
        # "ORC" and "RIFF" may open a CSV header; the binary formats go on with bytes no text has.
        if head.startswith(magic) and (not magic.isalpha() or _has_binary_bytes(head[:64])):
            raise TableFormatError(
                f"This file is {what}, not a CSV or Parquet table. {remedy}", code="not_a_table"
            )
    if head[257:262] == b"ustar":
        raise TableFormatError(
            "This file is a tar archive, not a table. Send the tables in it, or a zip archive of them.",
            code="not_a_table",
        )
    if _MARKUP.match(head):
        raise TableFormatError(
            "This file is HTML or XML (perhaps a login or error page saved under the table's name), not a table. "
            "Send a CSV or Parquet file.",
            code="not_a_table",
        )
    if _JSON.match(head):
        raise TableFormatError(
            "This file is one JSON document, not a table. Write JSON lines (one object per line), CSV or Parquet.",
            code="not_a_table",
        )


def refuse_binary_text(sample: bytes) -> None:
    """A text sample (not UTF-16) may hold tabs and line ends, no other control bytes worth speaking of.

    Raises: TableFormatError not_a_table, unsupported_encoding.
    """
    if sample[1::2].count(0) > len(sample) // 5 or sample[0::2].count(0) > len(sample) // 5:
        raise TableFormatError(
            "The file looks like UTF-16 without a byte order mark, or is binary. If it is text, say "
            '{"encoding": "utf-16-le"} in the reading options, or save it as UTF-8.',
            code="unsupported_encoding",
        )
    num_control = sum(sample.count(bytes((code,))) for code in range(32) if code not in (9, 10, 12, 13, 27))
    if num_control > max(2, len(sample) // 1000):
        raise TableFormatError(
            f"This file is binary ({num_control:,} control bytes in the first {len(sample):,}), not a CSV or Parquet "
            "table. Export the table as CSV or Parquet.",
            code="not_a_table",
        )


def _has_binary_bytes(head: bytes) -> bool:
    return any(code < 9 or 13 < code < 32 or code >= 127 for code in head)
