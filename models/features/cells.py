"""One JSON value → one stored cell, per stored type."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping

from models.features.reading.options import NULL_SPELLINGS
from models.features.reading.text_types import FLOAT_LITERAL, INTEGER_LITERAL

Converter = Callable[[object], object]
"""Given a value that is not null; None for a blank text. Raises NotConvertible."""

_INTEGER = re.compile(INTEGER_LITERAL, re.ASCII)
_FLOAT = re.compile(FLOAT_LITERAL, re.ASCII)
_DIGITS = re.compile(r"^\d{1,18}$", re.ASCII)
_NULLS = frozenset(NULL_SPELLINGS)
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


class NotConvertible(Exception):
    """`rule`: what the column takes; `code`: of the RowError."""

    def __init__(self, rule: str, code: str = "wrong_type") -> None:
        super().__init__(rule)
        self.rule = rule
        self.code = code


def to_text(value: object) -> str | None:
    if isinstance(value, str):
        return value if value and not value.isspace() else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise NotConvertible("this column takes text (integers and booleans are read as text)")


def to_number(value: object) -> int | float | None:
    """For integer columns: an int, or a float where it has a fraction."""
    if isinstance(value, bool):
        raise NotConvertible("this column takes numbers; a boolean is none")
    if isinstance(value, int):
        return _in_range(value)
    if isinstance(value, float):
        number = _finite(value)
        return _in_range(int(number)) if number.is_integer() else number
    if isinstance(value, str):
        return _parsed(value, wants_integer=True)
    raise NotConvertible("this column takes numbers")


def to_float(value: object) -> float | None:
    if isinstance(value, bool):
        raise NotConvertible("this column takes numbers; a boolean is none")
    if isinstance(value, int | float):
        try:
            return _finite(float(value))
        except OverflowError:
            raise NotConvertible("a number inside the range of a double is needed", "out_of_range") from None
    if isinstance(value, str):
        return _parsed(value, wants_integer=False)
    raise NotConvertible("this column takes numbers")


def to_boolean_number(value: object) -> int | float | None:
    """For numeric columns of kind boolean."""
    return int(value) if isinstance(value, bool) else to_number(value)


def to_postal_number(value: object) -> int | float | None:
    """For integer columns of kind postal code: the digits of a code, whose leading zeros the column lost."""
    text = value.strip() if isinstance(value, str) else ""
    return _in_range(int(text)) if _DIGITS.match(text) else to_number(value)


def to_boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        text = value.strip()
        if text in _NULLS:
            return None
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    raise NotConvertible("this column takes true or false")


def to_date(value: object) -> dt.date | None:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        text = value.strip()
        if text in _NULLS:
            return None
        try:
            return dt.date.fromisoformat(text[:10] if text[10:] in ("T00:00:00", " 00:00:00") else text)
        except ValueError:
            pass
    raise NotConvertible("this column takes dates as ISO 8601 text (2024-02-29)")


def to_datetime(value: object) -> dt.datetime | None:
    if isinstance(value, str):
        text = value.strip()
        if text in _NULLS:
            return None
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError:
            value = None
    if isinstance(value, dt.datetime):
        try:
            return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)
        except OverflowError:
            pass
    raise NotConvertible("this column takes times as ISO 8601 text (2024-02-29T12:30:00)")


def _parsed(text: str, *, wants_integer: bool) -> int | float | None:
    text = text.strip()
    if text in _NULLS:
        return None
    if _INTEGER.match(text) and len(text) <= 20:
        return _in_range(int(text)) if wants_integer else float(text)
    if _FLOAT.match(text):
        return _finite(float(text))
    raise NotConvertible("this column takes numbers, or text that is exactly a number")


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NotConvertible("a finite number is needed", "not_finite")
    return value


def _in_range(value: int) -> int:
    if not _INT64_MIN <= value <= _INT64_MAX:
        raise NotConvertible("an integer inside 64 bits is needed", "out_of_range")
    return value


CONVERTERS: Mapping[str, Converter] = {
    "string": to_text,
    "integer": to_number,
    "float": to_float,
    "boolean_number": to_boolean_number,
    "postal_number": to_postal_number,
    "boolean": to_boolean,
    "date": to_date,
    "datetime": to_datetime,
}
