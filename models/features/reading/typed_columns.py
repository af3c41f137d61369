"""Columns that come with a type of their own (Parquet, Arrow) as canonical columns, and what their formats refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from models.errors import TableFormatError
from models.features.reading.file_columns import FileColumns
from models.features.reading.names import check_column_names
from models.features.reading.options import FormatName, ReadLimits, Sniffed
from models.features.reading.temporal_columns import (
    canonical_date,
    canonical_datetime,
    canonical_duration,
    canonical_time_of_day,
)
from models.features.reading.text_types import DecimalMarks, TypedColumn, type_text_column

_SIGNED = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
_TEMPORAL: Mapping[type[pl.DataType], Callable[[pl.Series], TypedColumn]] = {
    pl.Date: canonical_date,
    pl.Datetime: canonical_datetime,
    pl.Duration: canonical_duration,
    pl.Time: canonical_time_of_day,
}
# polars' Rust side panics on some damaged files; that exception is no `Exception`.
READ_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError, OverflowError)
_MAX_PRECISION = 38
# What polars says of files that are whole and hold what it does not know. It has no classes for these.
_UNSUPPORTED = (
    ("Int256", "decimals of more than 38 digits"),
    ("precision must be between", "decimals of more than 38 digits"),
    ("unable to parse time zone", "times in a zone whose name is not in the time zone database (write UTC)"),
    ("could not import from", "a type that is no number, text, boolean or time"),
    ('type_: "KeyValue"', "metadata of a column that is not UTF-8, such as that of an extension type"),
)


def unreadable(error: BaseException, word: str, damaged_code: str) -> TableFormatError:
    """Why polars could not read a file: what it does not know, else damage. Quotes nothing of what polars said."""
    said = str(error)
    for mark, what in _UNSUPPORTED:
        if mark in said:
            return TableFormatError(
                f"The {word} file holds {what}, which cannot be read. Convert or leave out the column, and write it again.",
                code="unsupported_column_type",
            )
    return TableFormatError(
        f"The file starts like {word} but cannot be read: it is damaged or was cut short. Write or send it again.",
        code=damaged_code,
    )


def check_schema(schema: pl.Schema, limits: ReadLimits) -> None:
    """Raises: TableFormatError empty_file, unsupported_column_type, duplicate_column, invalid_column_name,
    too_many_columns."""
    if not schema:
        raise TableFormatError("The file has no columns, so no table.", code="empty_file")
    check_column_names(tuple(schema), limits, line=None)
    for name, dtype in schema.items():
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Unknown):
            raise TableFormatError(
                f"Column {name!r} has the type {_type_word(dtype)}; a table's cells are numbers, text, booleans or "
                "times. Flatten it into plain columns, or leave it out.",
                code="unsupported_column_type", column=name,
            )  # fmt: skip
        if isinstance(dtype, pl.Decimal) and (dtype.precision or 0) > _MAX_PRECISION:
            raise TableFormatError(
                f"Column {name!r} has decimals of {dtype.precision} digits; at most {_MAX_PRECISION} can be read. Convert "
                "it, or leave it out.",
                code="unsupported_column_type", column=name,
            )  # fmt: skip


def canonical_columns(frame: pl.DataFrame, format: FormatName, limits: ReadLimits) -> FileColumns:
    """Takes the columns out of `frame`. Raises: TableFormatError cell_too_long, value_out_of_range."""
    names = tuple(frame.columns)
    columns: list[pl.Series] = []
    warnings: list[str] = []
    for name in names:
        typed = canonical_column(frame.drop_in_place(name))
        check_cells(typed.series, limits)
        columns.append(typed.series)
        warnings.extend(typed.warnings)
    return FileColumns(pl.DataFrame(columns), Sniffed(format=format, columns=names), tuple(warnings))


def canonical_column(column: pl.Series) -> TypedColumn:
    """Any flat polars column as String, Int64, Float64, Boolean, Date or Datetime[us].

    NaN is null. Integers beyond 64 bits and decimals beyond double precision become text.

    Raises: TableFormatError value_out_of_range.
    """
    dtype = column.dtype
    if dtype in _SIGNED:
        return TypedColumn(column.cast(pl.Int64))
    if dtype.is_integer():
        fits = column.cast(pl.Int64, strict=False)
        return TypedColumn(fits if fits.null_count() == column.null_count() else column.cast(pl.String))
    if dtype.is_float():
        return _canonical_float(column.cast(pl.Float64))
    if dtype.is_decimal():
        return type_text_column(column.cast(pl.String), DecimalMarks(".", is_stated=True))
    if (canonical := _TEMPORAL.get(dtype.base_type())) is not None:
        return canonical(column)
    if dtype == pl.Boolean:
        return TypedColumn(column)
    text = column.cast(pl.String)  # String, Categorical, Enum, Null
    return text_or_number(text) if dtype == pl.String else TypedColumn(text)


def _canonical_float(column: pl.Series) -> TypedColumn:
    column = column.fill_nan(None)
    is_infinite = column.is_infinite().fill_null(value=False)
    if not is_infinite.any():
        return TypedColumn(column)
    note = f"Column {column.name!r}: {int(is_infinite.sum()):,} infinite values became null."
    return TypedColumn(column.set(is_infinite, None), (note,))


def text_or_number(text: pl.Series, *, tells_moments: bool = False) -> TypedColumn:
    """Blank text is null, as in every format. A text column of floats with blanks for "no value" is what a CSV
    reader made of it: read it as such. Integers stay text, since Parquet says they are (codes, years, zip codes).
    """
    is_blank = (text.str.strip_chars() == "").fill_null(value=False)
    warnings = []
    if num_blank := int(is_blank.sum() or 0):
        text = text.set(is_blank, None)
        warnings.append(f"Column {text.name!r}: {num_blank:,} blank cells became null.")
    typed = type_text_column(text, DecimalMarks(".", is_stated=True))
    if tells_moments and typed.series.dtype in (pl.Date, pl.Datetime):
        return TypedColumn(typed.series, (*typed.warnings, *warnings))
    if typed.series.dtype != pl.Float64:
        return TypedColumn(text, tuple(warnings))
    warnings.append(f"Column {text.name!r}: numbers stored as text became numbers.")
    return TypedColumn(typed.series, (*typed.warnings, *warnings))


def check_num_rows(num_rows: int, limits: ReadLimits) -> None:
    if num_rows == 0:
        raise TableFormatError("The file has columns and no rows. A table needs rows.", code="header_only")
    if num_rows > limits.max_rows:
        raise TableFormatError(
            f"A table has at most {limits.max_rows:,} rows; this one has {num_rows:,}. Send a part of it.",
            code="too_many_rows", num_rows=num_rows,
        )  # fmt: skip


def check_cells(column: pl.Series, limits: ReadLimits) -> None:
    if column.dtype != pl.String:
        return
    if not (column.str.len_bytes() > limits.max_cell_chars).any():
        return
    lengths = column.str.len_chars()
    row = lengths.arg_max() or 0
    if lengths[row] > limits.max_cell_chars:
        raise TableFormatError(
            f"Row {row + 1} of column {column.name!r} has {lengths[row]:,} characters; at most "
            f"{limits.max_cell_chars:,} are allowed. Shorten or leave out the column.",
            code="cell_too_long", row=row, column=column.name,
        )  # fmt: skip


def _type_word(dtype: pl.DataType) -> str:
    return str(dtype.base_type()).lower()
