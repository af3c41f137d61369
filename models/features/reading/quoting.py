"""Turns irregular quoting into regular quoting, record by record, or says in which line it is beyond repair.

Slow (Python) and therefore only for files in which the scan of `records` found a quote out of place. Lines
without quotes pass unchanged; numbers of lines never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.errors import TableFormatError

_MAX_FIELD_LINES = 10_000
_NO_QUOTING = 'or say {"quote": ""} if quotes have no meaning in this file.'


def regular_quotes(
    chunks: Iterable[bytes], delimiter: str, quote: str, *, first_line: int = 1
) -> Iterator[bytes]:
    """The same records with every field that holds a quote properly quoted.

    A quote inside an unquoted field (`5" pipe`) is text; blanks around a quoted field are dropped.

    Raises: TableFormatError stray_quote (text after a closing quote), unclosed_quote; both with the line.
    """
    normaliser = _Normaliser(delimiter.encode(), quote.encode(), first_line)
    carry = b""
    for chunk in chunks:
        *lines, carry = (carry + chunk).split(b"\n")
        if done := b"".join([normaliser.take(line + b"\n") for line in lines]):
            yield done
    if carry:
        yield normaliser.take(carry)
    normaliser.finish()


class _Normaliser:
    def __init__(self, delimiter: bytes, quote: bytes, first_line: int) -> None:
        self._delimiter = delimiter
        self._quote = quote
        self._line = first_line - 1
        self._pending: list[bytes] = []  # lines of a quoted field that is still open
        self._opened_on = 0

    def take(self, line: bytes) -> bytes:
        """One physical line in, the records completed by it out (empty while a field is open)."""
        self._line += 1
        if not self._pending and self._quote not in line:
            return line
        if self._pending and self._quote not in line:
            self._pending.append(line)
            self._refuse_endless()
            return b""
        if not self._pending:
            self._opened_on = self._line
        text = b"".join((*self._pending, line))
        rewritten = self._rewrite(text)
        self._pending = [] if rewritten is not None else [text]
        return rewritten or b""

    def finish(self) -> None:
        if self._pending:
            self._refuse_unclosed()

    def _rewrite(self, text: bytes) -> bytes | None:
        """All fields of `text`, or None when its last quoted field is still open."""
        quote, delimiter = self._quote, self._delimiter
        body = text.rstrip(b"\n")
        body = body.removesuffix(b"\r")
        line_end = text[len(body) :]
        fields: list[bytes] = []
        position = 0
        while True:
            start = position
            while body[start : start + 1] == b" " and delimiter != b" ":
                start += 1
            if body[start : start + 1] == quote:
                end = self._closing(text, start + 1)
                if end is None:
                    if start > position:  # a blank and a lone quote: text, as in `5, "`
                        start = position
                    else:
                        return None
                else:
                    after = end + 1
                    while body[after : after + 1] == b" ":
                        after += 1
                    if after >= len(body) or body[after : after + 1] == delimiter:
                        fields.append(text[start : end + 1])
                        if after >= len(body):
                            return delimiter.join(fields) + line_end
                        position = after + 1
                        continue
                    if start == position:
                        self._refuse_stray()
            end = body.find(delimiter, position)
            field = body[position:] if end < 0 else body[position:end]
            if quote in field:
                field = quote + field.replace(quote, quote + quote) + quote
            fields.append(field)
            if end < 0:
                return delimiter.join(fields) + line_end
            position = end + 1

    def _closing(self, text: bytes, position: int) -> int | None:
        """Position of the quote that closes a field whose content starts at `position`."""
        while (position := text.find(self._quote, position)) >= 0:
            if text[position + 1 : position + 2] != self._quote:
                return position
            position += 2
        return None

    def _refuse_endless(self) -> None:
        if len(self._pending) > _MAX_FIELD_LINES:
            self._refuse_unclosed()

    def _refuse_unclosed(self) -> None:
        raise TableFormatError(
            f"A quoted field opens on line {self._opened_on} and is never closed. Close it, double the quotes inside "
            f"quoted fields, {_NO_QUOTING}",
            code="unclosed_quote", line=self._opened_on,
        )  # fmt: skip

    def _refuse_stray(self) -> None:
        line = self._line if not self._pending else self._opened_on
        raise TableFormatError(
            f"In the record on line {line} text follows a closing quote. Double the quotes inside quoted fields "
            f'("" for "), {_NO_QUOTING}',
            code="stray_quote", line=line,
        )  # fmt: skip
