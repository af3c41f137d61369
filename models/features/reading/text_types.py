"""From text cells to canonical columns, without losing anything.

A text column becomes the first of these for which *every* non-null cell qualifies (blanks around a cell do
not count; a blank cell is null):

- **integer**: `0` or an optional minus and digits without leading zero, inside 64 bits. `01234`, `+5` and
  20-digit numbers keep the whole column text.
- **float**: at least one cell that is no integer; every cell an optional minus, an integer part without
  leading zeros, an optional fraction (`1.50`, `.5`, `5.`), or a number in exponent form as programs write it
  (`1.5e-07`, `1E+05`, `1e16`; a bare `1e5` looks like a code and keeps the column text). The value must be
  the nearest double, and where the part before the mark exceeds 2^53 it must be exact, so no digit of an
  id-like number is lost; trailing zeros and digits past double precision are not kept.
- **boolean**: only `true`/`false`, `True`/`False` or `TRUE`/`FALSE`, one spelling throughout.
- **date, datetime**: ISO 8601 (`2024-02-29`, `2024-02-29T12:30`, `… 12:30:00.25`), the years 1 to 9999,
  microseconds, no zone or UTC throughout.

`inf`, `Infinity` and literals beyond the doubles, in a column of numbers, become null with a counted warning.
With a decimal comma `2,5` is a float, but a column in which every such cell has the shape `1,234` could as
well hold thousands: it stays text, with a warning, unless the caller names the decimal mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import polars as pl

_BLANKS = " \t\u00a0"
INTEGER_LITERAL = r"^(?:0|-?[1-9]\d*)$"
_EXPONENT = r"-?\d(?:\.\d+[eE][+-]?\d{1,3}|[eE][+-]\d{1,3}|[eE](?:1[6-9]|[2-9]\d|[1-3]\d\d))"
FLOAT_LITERAL = rf"^(?:-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)|{_EXPONENT})$"
_THOUSANDS = r"^(?:0|-?[1-9]\d{0,2}(?:\.\d{3})?)$"
_INFINITY = r"(?i)^[+-]?inf(?:inity)?$"
_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d\d|00[1-9]\d|000[1-9])"  # no year 0, which Python and databases do not know
_DATE = rf"^{_YEAR}-\d\d-\d\d$"
# Neither 24:00 nor a leap second, which would come back as another moment.
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6}0*)?)?(?:Z|\+00:00)?"
_DATETIME = rf"^{_YEAR}-\d\d-\d\d[T ]{_TIME}$"
_BOOLEANS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))
_EXACT = float(2**53)
_PROBE = 1_000


@dataclass(frozen=True)
class DecimalMarks:
    """The file's decimal mark; unless it was stated, a column may use the other one."""

    mark: Literal[".", ","]
    is_stated: bool = False


@dataclass(frozen=True)
class TypedColumn:
    series: pl.Series
    warnings: tuple[str, ...] = ()


def type_text_column(
    text: pl.Series,
    marks: DecimalMarks,
    *,
    quoted_mark: str | None = None,
    keeps_text: bool = False,
    null_numbers: Sequence[float] = (),
) -> TypedColumn:
    """`text` String [N] → the same name as Int64, Float64, Boolean, Date, Datetime[us] or String.

    `quoted_mark` ends the cells that were a quoted spelling of "no value": text, or a missing number. `null_numbers`
    mean "no value" in a column that becomes numbers, however they are spelled (`-200`, `-200,0`, `-2.0e+02`).
    """
    trimmed = text.str.strip_chars(_BLANKS)
    trimmed = trimmed.set(trimmed == "", None) if (trimmed == "").any() else trimmed
    candidates = trimmed
    if quoted_mark is not None:
        text = text.str.strip_suffix(quoted_mark)
        is_marked = candidates.str.ends_with(quoted_mark)
        candidates = candidates.set(is_marked.fill_null(value=False), None)
    if trimmed.null_count() > text.null_count():
        text = text.set(trimmed.is_null(), None)
    if keeps_text or candidates.null_count() == len(candidates):
        return TypedColumn(text)
    typed = _without(_number(candidates, marks), null_numbers) or _boolean(candidates) or _moment(candidates)
    if typed is None or typed.series.dtype == pl.String:
        return TypedColumn(text, (*(typed.warnings if typed else ()), *_blank_warning(text)))
    if num_quoted := candidates.null_count() - trimmed.null_count():
        note = f'Column {text.name!r}: {num_quoted:,} quoted cells such as "NA" among the values became null.'
        return TypedColumn(typed.series, (*typed.warnings, note))
    return typed


def _without(typed: TypedColumn | None, null_numbers: Sequence[float]) -> TypedColumn | None:
    if typed is None or not null_numbers or not typed.series.dtype.is_numeric():
        return typed
    series = typed.series
    is_null = series.cast(pl.Float64).is_in(null_numbers).fill_null(value=False)
    return TypedColumn(series.set(is_null, None), typed.warnings) if is_null.any() else typed


def _number(text: pl.Series, marks: DecimalMarks) -> TypedColumn | None:
    probe = text.drop_nulls().head(_PROBE)
    if _matches(probe, INTEGER_LITERAL) and _matches(text, INTEGER_LITERAL):  # the common case, in one pass
        return _parse(text, text, 0, is_ambiguous=False)
    other: Literal[".", ","] = "," if marks.mark == "." else "."
    for mark in (marks.mark,) if marks.is_stated else (marks.mark, other):
        if not _matches(_with_point(probe, mark), rf"(?:{FLOAT_LITERAL})|(?:{_INFINITY})"):
            continue
        plain = _with_point(text, mark)
        is_infinite = plain.str.contains(_INFINITY).fill_null(value=False)
        finite = plain.set(is_infinite, None) if is_infinite.any() else plain
        if not _matches(finite, FLOAT_LITERAL):
            continue
        is_ambiguous = not marks.is_stated and (mark == "," or marks.mark == ",")
        return _parse(text, finite, int(is_infinite.sum() or 0), is_ambiguous=is_ambiguous)
    return None


def _parse(
    text: pl.Series, finite: pl.Series, num_infinite: int, *, is_ambiguous: bool
) -> TypedColumn | None:
    """`finite`: every non-null cell a float literal with a point. A String result says why it is no number."""
    name = text.name
    if finite.null_count() == len(finite):
        return None
    if _matches(finite, INTEGER_LITERAL):
        parsed = finite.cast(pl.Int64, strict=False)
        if parsed.null_count() > finite.null_count():
            return TypedColumn(
                text, (f"Column {name!r} holds integers beyond 64 bits and was kept as text.",)
            )
        return TypedColumn(parsed, _infinity_warning(name, num_infinite))
    if is_ambiguous and _matches(finite, _THOUSANDS):
        note = (
            f"Column {name!r} could hold decimals or thousands (every such cell has three digits after the mark) and "
            "was kept as text. Name the decimal mark in the reading options."
        )
        return TypedColumn(text, (note,))
    values = finite.cast(pl.Float64, strict=False)
    if not is_exact_where_large(finite, values):
        return TypedColumn(
            text, (f"Column {name!r} holds numbers that a double cannot hold and was kept as text.",)
        )
    is_beyond = values.is_infinite().fill_null(value=False)
    if is_beyond.any():
        values = values.set(is_beyond, None)
    return TypedColumn(values, _infinity_warning(name, num_infinite + int(is_beyond.sum() or 0)))


def is_exact_where_large(text: pl.Series, values: pl.Series) -> bool:
    is_large = ((values.abs() >= _EXACT) & values.is_finite() & ~text.str.contains("[eE]")).fill_null(
        value=False
    )
    if not is_large.any():
        return True
    large = pl.DataFrame(
        [text.filter(is_large).alias("text"), values.filter(is_large).alias("value")]
    ).unique()
    return all(Decimal(cell) == Decimal(value) for cell, value in large.iter_rows())


def _boolean(text: pl.Series) -> TypedColumn | None:
    if text.drop_nulls().head(_PROBE).n_unique() > 2:
        return None
    for true, false in _BOOLEANS:
        if text.is_in([true, false]).all(ignore_nulls=True):
            return TypedColumn(text == true)
    return None


def _moment(text: pl.Series) -> TypedColumn | None:
    probe = text.drop_nulls().head(_PROBE)
    if _matches(probe, _DATE) and _matches(text, _DATE):
        dates = text.str.to_date("%Y-%m-%d", strict=False)
        return TypedColumn(dates) if dates.null_count() == text.null_count() else None
    if not (_matches(probe, _DATETIME) and _matches(text, _DATETIME)):
        return None
    has_zone = text.str.contains(r"(?:Z|\+00:00)$").drop_nulls()
    if has_zone.any():
        if not has_zone.all():
            return None
        text = text.str.replace(r"(?:Z|\+00:00)$", "")
    if (text.str.slice(10, 1) == "T").any():
        text = text.str.replace("T", " ", literal=True)
    if (text.str.len_bytes() == 16).any():  # no seconds
        has_none = text.str.len_bytes() == 16
        text = pl.select(pl.when(has_none).then(text + ":00").otherwise(text).alias(text.name)).to_series()
    moments = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    if moments.null_count() != text.null_count():
        return None
    warnings = (f"Column {text.name!r}: the zone (UTC in every cell) is not kept.",) if has_zone.any() else ()
    return TypedColumn(moments, warnings)


def _matches(text: pl.Series, pattern: str) -> bool:
    return bool(text.str.contains(pattern).all(ignore_nulls=True))


def _with_point(text: pl.Series, mark: Literal[".", ","]) -> pl.Series:
    """With a decimal comma, the comma becomes a point and a point makes the cell no number."""
    if mark == ".":
        return text
    return text.str.replace_many([".", ","], [",", "."])


def _blank_warning(text: pl.Series) -> tuple[str, ...]:
    """Blanks around text are kept, since files differ in nothing else; who types the value by hand must know."""
    num_blank = int((text.str.len_bytes() != text.str.strip_chars(_BLANKS).str.len_bytes()).sum() or 0)
    if not num_blank:
        return ()
    return (
        f"Column {text.name!r}: {num_blank:,} cells begin or end with blanks, which were kept: with and without them "
        "are different values.",
    )


def _infinity_warning(name: str, num_infinite: int) -> tuple[str, ...]:
    return (f"Column {name!r}: {num_infinite:,} infinite values became null.",) if num_infinite else ()
