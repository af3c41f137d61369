"""The text encoding of a file, and its bytes as a stream of UTF-8.

Order of evidence: what the caller says; a byte order mark; valid UTF-8; else charset-normalizer, asked only
whether the text can be Western European (taken with a warning), because a wrong guess reads without error.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import charset_normalizer

from models.errors import TableFormatError

CHUNK_BYTES = 8 * 1024 * 1024
_SAMPLE_BYTES = 64 * 1024
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"), (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_SYMBOL_INSIDE_WORD = re.compile(r"[A-Za-zÀ-ÿ][¡-©«-±´-¹»-¿×÷][A-Za-zÀ-ÿ]")
_OVERRIDE = (
    'Say which one it is in the reading options ({"encoding": "cp1252"}, for example), or save it as UTF-8.'
)


@dataclass(frozen=True)
class Encoding:
    """`name`: Python codec; `bom_bytes`: length of the byte order mark to skip; `is_ascii_so_far`: the sample
    holds nothing that tells one encoding from another."""

    name: str
    bom_bytes: int = 0
    is_ascii_so_far: bool = False
    warnings: tuple[str, ...] = ()


def detect_encoding(head: bytes, stated: str | None, *, is_whole_file: bool) -> Encoding:
    """Raises: TableFormatError unsupported_encoding, invalid_encoding."""
    bom = next(((mark, name) for mark, name in _BOMS if head.startswith(mark)), None)
    if stated is not None:
        return _stated_encoding(stated, bom)
    if bom is not None:
        mark, name = bom
        if name.startswith("utf-32"):
            raise TableFormatError(
                "UTF-32 files are not read. Save it as UTF-8.", code="unsupported_encoding"
            )
        return Encoding(name, bom_bytes=len(mark))
    if head.isascii():
        return Encoding("utf-8", is_ascii_so_far=True)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=is_whole_file)
    except UnicodeDecodeError as error:
        _refuse_damaged_utf8(head, error.start)
        return guess_encoding(head, error.start)
    return Encoding("utf-8")


def _refuse_damaged_utf8(data: bytes, first_bad: int) -> None:
    """Bytes that are UTF-8 more often than not are a damaged file: as Western text its accents would be rubbish."""
    num_valid = sum(char > "\x7f" for char in data.decode("utf-8", errors="ignore"))
    num_invalid = data.decode("utf-8", errors="replace").count("\ufffd")
    if num_valid >= num_invalid:
        line = data.count(b"\n", 0, first_bad) + 1
        raise TableFormatError(
            f"Line {line} is not valid utf-8, though other lines are. {_OVERRIDE}",
            code="invalid_encoding",
            line=line,
        )


def _stated_encoding(stated: str, bom: tuple[bytes, str] | None) -> Encoding:
    family = stated.replace("_", "-").lower()
    if bom is not None and bom[1].startswith(family.removesuffix("-sig")):
        return Encoding(bom[1], bom_bytes=len(bom[0]))
    if family in ("utf-8-sig", "utf-8"):
        return Encoding("utf-8")
    return Encoding("utf-16-le" if family == "utf-16" else stated)


def guess_encoding(data: bytes, first_bad: int) -> Encoding:
    """The Western encoding of bytes that are not UTF-8; `first_bad`: offset of a byte that shows it.

    Raises: TableFormatError unsupported_encoding.
    """
    lines = [
        line for line in data[first_bad : first_bad + 16 * _SAMPLE_BYTES].splitlines() if not line.isascii()
    ]
    sample = data[max(0, first_bad - 200) : first_bad + 200] + b"\n" + b"\n".join(lines)[:_SAMPLE_BYTES]
    western = charset_normalizer.from_bytes(sample, cp_isolation=["cp1252", "latin_1"]).best()
    if western is None or _has_symbols_inside_words(str(western)):
        best = charset_normalizer.from_bytes(sample).best()
        guess = f" (perhaps {best.encoding})" if best is not None else ""
        raise TableFormatError(
            f"This file is neither UTF-8, UTF-16 with a byte order mark, nor Western European text{guess}. {_OVERRIDE}",
            code="unsupported_encoding",
        )
    name = "cp1252" if not any(code in sample for code in b"\x81\x8d\x8f\x90\x9d") else "latin-1"
    return Encoding(
        name, warnings=(f"The file is not UTF-8; it was read as {name}. If accents look wrong, {_OVERRIDE[0].lower()}{_OVERRIDE[1:]}",)
    )  # fmt: skip


def _has_symbols_inside_words(text: str) -> bool:
    """`Wroc³aw`: Central European bytes read as Western ones."""
    num_inside = len(_SYMBOL_INSIDE_WORD.findall(text))
    return num_inside > 0.02 * sum(char > "\x7f" for char in text)


class NotUtf8(Exception):
    """A file that was plain ASCII so far has other bytes further on: the encoding must be guessed there."""

    def __init__(self, encoding: Encoding) -> None:
        super().__init__(encoding.name)
        self.encoding = encoding


def utf8_chunks(path: Path, encoding: Encoding, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The file as non-empty chunks of UTF-8 without byte order mark, cut anywhere between characters.

    Raises: TableFormatError invalid_encoding with the line; NotUtf8 where only a later part tells the encoding.
    """
    decoder = codecs.getincrementaldecoder(encoding.name)()
    num_lines = 0
    is_ascii = encoding.is_ascii_so_far
    is_utf8 = codecs.lookup(encoding.name).name == "utf-8"
    with path.open("rb") as file:
        file.seek(encoding.bom_bytes)
        while True:
            raw = file.read(chunk_bytes)
            pending = decoder.getstate()[0]
            try:
                if is_utf8 and not pending and raw.isascii():
                    data = raw
                else:
                    data = decoder.decode(raw, final=not raw).encode("utf-8")
                    is_ascii = is_ascii and data.isascii()
            except UnicodeDecodeError as error:
                if is_ascii:
                    raise NotUtf8(guess_encoding(pending + raw, error.start)) from None
                line = num_lines + (pending + raw)[: error.start].count(b"\n") + 1
                raise TableFormatError(
                    f"Line {line} is not valid {encoding.name}. {_OVERRIDE}",
                    code="invalid_encoding",
                    line=line,
                ) from None
            except UnicodeError:  # lone surrogates
                raise TableFormatError(
                    f"The file holds characters that are no text in {encoding.name}. {_OVERRIDE}",
                    code="invalid_encoding",
                ) from None
            if data:
                num_lines += data.count(b"\n")
                yield data
            if not raw:
                return
