"""The error tree of `models`.

    RootstockModelError
    ├── InputError            the caller's data or request is at fault; safe to show (no cell contents)
    │   ├── TableFormatError  a file that cannot become a table; carries line and column
    │   ├── SchemaError       kinds, roles, keys, splits that do not fit the table
    │   ├── RowError          a row sent for prediction that does not fit the schema
    │   ├── LabelError        labels that cannot be fitted (one class only, all null, too few …)
    │   └── EncoderError      an architecture or objective that does not fit the table
    ├── BundleError           a stored bundle that is damaged, swapped or of an unknown format version
    └── Interrupted           asked to stop (cancel, pause, shutdown); state up to the last checkpoint is kept

`code` is stable and machine-readable (snake_case); the message says the rule, what was received (types,
lengths, lines, columns; never contents) and what to do next.
"""

from __future__ import annotations

from typing import Any


class RootstockModelError(Exception):
    """Root of every error raised by `models`."""

    default_code = "model_error"

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.details: dict[str, Any] = details  # plain JSON


class InputError(RootstockModelError):
    default_code = "invalid_input"


class TableFormatError(InputError):
    default_code = "invalid_table_file"


class SchemaError(InputError):
    default_code = "invalid_schema"


class RowError(InputError):
    default_code = "invalid_row"


class LabelError(InputError):
    default_code = "invalid_labels"


class EncoderError(InputError):
    default_code = "invalid_encoder"


class BundleError(RootstockModelError):
    default_code = "damaged_bundle"


class Interrupted(RootstockModelError):
    default_code = "interrupted"
