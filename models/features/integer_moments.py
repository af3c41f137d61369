"""Dates and times that stand in whole numbers: seconds since 1970, or the digits of a date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import polars as pl

IntegerForm = Literal["seconds", "milliseconds", "microseconds", "yyyymmdd", "year"]

_FIRST_YEAR, _LAST_YEAR = 1000, 2999
# Largest magnitudes of moments before the year 3000; below the smallest, seconds would all lie in 1970 to 1973, where
# counts and codes are likelier.
_SMALLEST = 100_000_000
_SECONDS, _MILLISECONDS, _MICROSECONDS = 32_503_680_000, 32_503_680_000_000, 32_503_680_000_000_000


def integer_form(values: pl.Series) -> IntegerForm | None:
    """What `values` (Int64, no nulls) count, by their size; None where they can be no moments."""
    low, high = values.min(), values.max()
    if not isinstance(low, int) or not isinstance(high, int):
        return None
    if low >= _FIRST_YEAR and high <= _LAST_YEAR:
        return "year"
    if low >= _FIRST_YEAR * 10_000 and high <= _LAST_YEAR * 10_000 + 1231:
        dates = moments_of_integers(values, "yyyymmdd")
        if dates.null_count() <= 0.05 * len(values):
            return "yyyymmdd"
    if high < _SMALLEST:
        return None
    for form, most in _LARGEST.items():
        if high < most and low > -most:
            return form
    return None


def moments_of_integers(values: pl.Series, form: IntegerForm) -> pl.Series:
    """`values` Int64 [n] as Datetime[us] [n]; null where a number is no moment."""
    return _READERS[form](values)


def _from_digits(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).str.to_date("%Y%m%d", strict=False).cast(pl.Datetime("us"))


def _from_year(values: pl.Series) -> pl.Series:
    inside = values.is_between(_FIRST_YEAR, _LAST_YEAR)
    return _from_digits(values.clip(_FIRST_YEAR, _LAST_YEAR) * 10_000 + 101).set(
        ~inside.fill_null(True), None
    )


def _scaled(factor: int, most: int) -> Callable[[pl.Series], pl.Series]:
    def read(values: pl.Series) -> pl.Series:
        inside = values.is_between(-most, most)
        micros = values.clip(-most, most) * factor
        return micros.cast(pl.Datetime("us")).set(~inside.fill_null(True), None)

    return read


_LARGEST: Mapping[IntegerForm, int] = {
    "seconds": _SECONDS,
    "milliseconds": _MILLISECONDS,
    "microseconds": _MICROSECONDS,
}
_READERS: Mapping[IntegerForm, Callable[[pl.Series], pl.Series]] = {
    "seconds": _scaled(1_000_000, _SECONDS),
    "milliseconds": _scaled(1_000, _MILLISECONDS),
    "microseconds": _scaled(1, _MICROSECONDS),
    "yyyymmdd": _from_digits,
    "year": _from_year,
}
