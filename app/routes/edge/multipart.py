"""One multipart form, parsed as it arrives: fields into memory, files one after the other into a sink.

The framework's own parser spools every file to a temporary place of its choosing before any route runs; a table
of gigabytes is to be refused by its first MiB, and to lie in a private folder.
"""

from __future__ import annotations

from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.errors import BadRequest, InvalidRequest, TooLarge
from app.services.received_files import plain_name
from app.settings import MIB

MAX_FIELD_BYTES = MIB


class FileSink(Protocol):
    """Where the bytes of the form's files go; may raise to refuse the rest."""

    def begin(self, filename: str, fields: dict[str, str]) -> None:
        """A file starts; `fields` are those that came before it."""
        ...

    def write(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The file that was begun is complete."""
        ...


def boundary_of(content_type: str) -> bytes:
    """Raises: BadRequest `invalid_form`."""
    _, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if not boundary:
        raise BadRequest("The multipart Content-Type has no boundary.", code="invalid_form")
    return boundary


class FormReader:
    """Feed it the body in pieces, then `finish`; `fields` and the sink fill up meanwhile.

    Raises: BadRequest `invalid_form`; TooLarge `field_too_large`; InvalidRequest `unknown_field`,
        `duplicate_field`; whatever the sink raises.
    """

    def __init__(self, boundary: bytes, field_names: frozenset[str], file_name: str, sink: FileSink) -> None:
        self.fields: dict[str, str] = {}
        self._is_complete = False
        self._field_names = field_names
        self._file_name = file_name
        self._sink = sink
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = ""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError:
            raise _malformed() from None

    def feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError:
            raise _malformed() from None

    def finish(self) -> None:
        """The body has ended; a form that has not is refused, or half a file could become a table."""
        if not self._is_complete:
            raise _malformed()

    def _on_end(self) -> None:
        self._is_complete = True

    def _on_part_begin(self) -> None:
        self._value.clear()
        self._disposition = ""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            self._disposition = self._header_value.decode("latin-1")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = b"filename" in options
        is_expected = self._name == self._file_name if self._is_file else self._name in self._field_names
        if not is_expected:
            raise InvalidRequest(
                f"The form has a {'file' if self._is_file else 'field'} that this route does not take; it takes the "
                f"file {self._file_name!r} and the fields {', '.join(sorted(self._field_names))}.",
                code="unknown_field",
            )
        if self._name in self.fields:
            raise InvalidRequest(f"The form has {self._name!r} twice.", code="duplicate_field")
        if self._is_file:
            self._sink.begin(plain_name(options[b"filename"].decode("utf-8", "replace")), self.fields)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._sink.write(data[start:end])
            return
        if len(self._value) + end - start > MAX_FIELD_BYTES:
            raise TooLarge(
                f"The form field {self._name!r} is larger than {MAX_FIELD_BYTES:,} bytes.",
                code="field_too_large",
            )
        self._value += data[start:end]

    def _on_part_end(self) -> None:
        if self._is_file:
            self._sink.end()
            return
        try:
            self.fields[self._name] = self._value.decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest(f"The form field {self._name!r} is not UTF-8.", code="invalid_form") from None


def _malformed() -> BadRequest:
    return BadRequest(
        "The body is not a complete multipart/form-data form; was the connection cut?", code="invalid_form"
    )
