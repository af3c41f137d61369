"""Labels as they were sent, in JSON or in a file, to one checked frame that still knows where each label stood."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from app.errors import InvalidRequest, TooLarge
from app.schemas.labels import (
    AT_RULE,
    MAX_KEY_CHARS,
    MAX_TEXT_LABEL_CHARS,
    MAX_WEIGHT,
    Label,
    LabelFileOptions,
    seconds_from,
)
from app.services.label_files import LABEL_FILE_SCHEMA, encode_value
from models.errors import LabelError
from models.features.label_times import seconds_of
from models.features.labels import canonical_key
from models.features.reading import RawTable, ReadLimits, ReadOptions, read_table, sniff

MAX_NAMED_POSITIONS = 20
MAX_FILE_BYTES = 256 << 20  # once it is unpacked; what may be sent is bounded by the service
MAX_FILE_COLUMNS = 500
MAX_CELL_CHARS = 10_000

_SECONDS = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")

LabelFormat = Literal["csv", "parquet"]


@dataclass(frozen=True)
class SentLabels:
    """`frame` as in `label_merge`; `lines` gives the line of a label in the file it came from, if it came from one with
    lines; `unit` is what a place is called."""

    frame: pl.DataFrame
    unit: str = "position"
    lines: Callable[[int], int | None] | None = None

    def refusal(
        self, code: str, message: str, is_wrong: pl.Series | np.ndarray, **more: Any
    ) -> InvalidRequest:
        """An error that names the first places of what is wrong, never the contents.

        `message` has the fields `{count}` and `{places}`.
        """
        found = np.flatnonzero(np.asarray(is_wrong))
        places = [self.place(int(position)) for position in found[:MAX_NAMED_POSITIONS]]
        rest = len(found) - len(places)
        words = f"{self.unit}s " + ", ".join(map(str, places)) + (f" and {rest:,} more" if rest else "")
        return InvalidRequest(
            message.format(count=f"{len(found):,}", places=words),
            code=code,
            details={f"{self.unit}s": places, "count": len(found), **more},
        )

    def place(self, position: int) -> int:
        """Line (or 1-based row) in a file, 0-based position in JSON."""
        line = None if self.lines is None else self.lines(position)
        if line is not None:
            return line
        return position + 1 if self.unit == "row" else position

    def check_keys_differ(self) -> SentLabels:
        """A key that appears twice is refused instead of letting the last one win: which of the two is true is not ours
        to guess, and `1` and `"1"` are one key.

        Raises: InvalidRequest `duplicate_key`.
        """
        is_repeated = ~self.frame["key"].is_first_distinct()
        if is_repeated.any():
            raise self.refusal(
                "duplicate_key",
                "{count} labels have a key that came before in this request, at {places}; send one label per key.",
                is_repeated,
            )
        return self


def from_json(labels: Sequence[Label]) -> SentLabels:
    """Raises: InvalidRequest `duplicate_key`."""
    frame = pl.DataFrame(
        {
            "key": [canonical_key(label.key) for label in labels],
            "value": [None if label.value is None else encode_value(label.value) for label in labels],
            "at": [label.at for label in labels],
            "weight": [label.weight for label in labels],
        },
        schema=LABEL_FILE_SCHEMA,
    )
    return SentLabels(frame).check_keys_differ()


def from_file(
    path: Path, file_format: LabelFormat, options: LabelFileOptions, *, as_text: bool, max_labels: int
) -> SentLabels:
    """Labels of a CSV or Parquet file. Keys of a CSV stay text (`01`); `as_text` keeps values so. An empty value
    withdraws; no other spelling of "nothing" does (`NA` is a label like any other).

    Raises: TableFormatError where the file is no table; InvalidRequest `label_column_missing`, `null_key`, `invalid_key`,
        `invalid_label`, `invalid_at`, `invalid_weight`, `duplicate_key`, with lines; TooLarge `too_many_labels`.
    """
    table = _read(path, file_format, options, as_text=as_text)
    if table.frame.height > max_labels:
        raise TooLarge(
            f"A file carries at most {max_labels:,} labels; this one has {table.frame.height:,}. Send several.",
            code="too_many_labels",
            details={"max_labels": max_labels},
        )
    unit = "line" if file_format == "csv" else "row"
    columns = {name: table.frame[column] for name, column in _chosen(table.frame.columns, options).items()}
    places = SentLabels(pl.DataFrame(), unit, table.line_of_row)
    empty = pl.Series([None] * table.frame.height, dtype=pl.Float64)
    frame = pl.DataFrame(
        {
            "key": _keys(columns["key"], places),
            "value": _values(columns["value"], places),
            "at": _seconds(columns["at"], places) if "at" in columns else empty,
            "weight": _weights(columns["weight"], places) if "weight" in columns else empty,
        },
        schema=LABEL_FILE_SCHEMA,
    )
    if frame.is_empty():
        raise InvalidRequest("The file has no labels below its header.", code="no_labels")
    return SentLabels(frame, unit, table.line_of_row).check_keys_differ()


def _read(path: Path, file_format: LabelFormat, options: LabelFileOptions, *, as_text: bool) -> RawTable:
    limits = ReadLimits(max_bytes=MAX_FILE_BYTES, max_columns=MAX_FILE_COLUMNS, max_cell_chars=MAX_CELL_CHARS)
    reading = ReadOptions(format=file_format, null_values=())
    filename = f"labels.{file_format}"
    columns = sniff(path.read_bytes(), filename, reading, limits, is_whole_file=True).columns
    chosen = _chosen(columns, options)
    if file_format == "csv":
        texts = (chosen["key"], chosen["value"]) if as_text else (chosen["key"],)
        reading = reading.model_copy(update={"text_columns": texts})
    return read_table(path, filename, reading, limits)


def _chosen(columns: Sequence[str], options: LabelFileOptions) -> dict[str, str]:
    """key, value, at, weight -> the column of the file; `at` and `weight` only where there is one."""
    wanted = {
        "key": options.key,
        "value": options.value,
        "at": options.at or "at",
        "weight": options.weight or "weight",
    }
    needed = {"key", "value", *(name for name in ("at", "weight") if getattr(options, name) is not None)}
    missing = [name for name in wanted if name in needed and wanted[name] not in columns]
    if missing:
        raise InvalidRequest(
            f"The file has {len(columns)} columns, none of which is named for {', '.join(missing)}; spelling and case "
            "count. Name them: ?key=…&value=…&at=…&weight=…",
            code="label_column_missing",
            details={"missing": missing},
        )
    if len(set(wanted.values())) < len(wanted):
        raise InvalidRequest("key, value, at and weight are different columns.", code="label_column_repeated")
    return {name: column for name, column in wanted.items() if column in columns}


def _keys(values: pl.Series, places: SentLabels) -> pl.Series:
    if values.dtype != pl.String and not values.dtype.is_integer():
        raise InvalidRequest(
            f"Keys are text or integers; the column has the type {values.dtype}. Send them as text, as in the table.",
            code="invalid_key",
        )
    if values.null_count():
        raise places.refusal(
            "null_key", "{count} labels have no key, at {places}; every label needs one.", values.is_null()
        )
    keys = values.cast(pl.String)
    lengths = keys.str.len_chars()
    is_wrong = (lengths == 0) | (lengths > MAX_KEY_CHARS)
    if is_wrong.any():
        rule = f"A key has 1 to {MAX_KEY_CHARS:,} characters; "
        raise places.refusal("invalid_key", rule + "{count} have not, at {places}.", is_wrong)
    return keys


def _values(values: pl.Series, places: SentLabels) -> pl.Series:
    """One JSON scalar as text per label."""
    if values.dtype == pl.Null:
        return values.cast(pl.String)
    is_scalar = (
        values.dtype in (pl.String, pl.Boolean) or values.dtype.is_integer() or values.dtype.is_float()
    )
    if not is_scalar:
        raise LabelError(
            f"A label is text, a number or a boolean; the column has the type {values.dtype}. Make it a number "
            "(days until …) or classes.",
            code="unsupported_label_type",
        )
    if values.dtype == pl.String:
        is_wrong = (values.str.len_chars() > MAX_TEXT_LABEL_CHARS).fill_null(False)
        if is_wrong.any():
            rule = f"A text label has at most {MAX_TEXT_LABEL_CHARS} characters; "
            raise places.refusal("invalid_label", rule + "{count} have more, at {places}.", is_wrong)
        values = values.replace("", None)
    if values.dtype.is_float() and (is_wrong := ~values.fill_null(0.0).is_finite()).any():
        raise places.refusal(
            "not_finite",
            "{count} labels are NaN or infinite, at {places}. Leave a value empty to withdraw its label.",
            is_wrong,
        )
    different = values.drop_nulls().unique()
    texts = pl.Series([encode_value(value) for value in different], dtype=pl.String)
    pairs = pl.DataFrame({"label": different, "text": texts})
    return values.to_frame("label").join(pairs, on="label", how="left", maintain_order="left")["text"]


def _seconds(values: pl.Series, places: SentLabels) -> pl.Series:
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        return pl.Series(seconds_of(values)).fill_nan(None)
    found = [_moment(value) for value in values]
    seconds = pl.Series(found, dtype=pl.Float64)
    is_wrong = seconds.is_null() & values.is_not_null()
    if values.dtype == pl.String:
        is_wrong = is_wrong & (values != "").fill_null(False)
    if is_wrong.any():
        raise places.refusal("invalid_at", AT_RULE + "; {count} are not, at {places}.", is_wrong)
    return seconds


def _moment(value: object) -> float | None:
    """A cell of a column of times; texts of digits are seconds, as they are in a column of numbers."""
    if isinstance(value, str):
        return seconds_from(float(value) if _SECONDS.fullmatch(value) else value)
    return seconds_from(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _weights(values: pl.Series, places: SentLabels) -> pl.Series:
    if values.dtype == pl.Null:
        return values.cast(pl.Float64)
    is_number = values.dtype.is_integer() or values.dtype.is_float()
    weights = values.cast(pl.Float64) if is_number else pl.Series([0.0] * len(values))
    is_wrong = ~((weights > 0) & (weights <= MAX_WEIGHT)).fill_null(True)
    if is_wrong.any():
        rule = f"A weight is a number above 0 and at most {MAX_WEIGHT:,.0f}; "
        raise places.refusal("invalid_weight", rule + "{count} are not, at {places}.", is_wrong)
    return weights
