"""Dates and times as calendar parts and as days before the latest moment of the training rows.

`n` rows. Moments are microseconds since 1970-01-01, without a zone (UTC where the text names one).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.casting import cast_or_null
from models.features.derived.base import BaseDerivation, Part
from models.features.integer_moments import IntegerForm, integer_form, moments_of_integers
from models.features.moments import TextFormat, find_format, parse_format
from models.features.schema import StorageType

PartName = Literal["elapsed_days", "year", "month", "day", "weekday", "hour"]

_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
# Of few values without distance (January is as far from December as from February): names, not numbers.
_CATEGORICAL = frozenset({"month", "weekday"})


class _Moments(NamedTuple):
    """Shape: both [n]; `micros` is 0 where not `known`."""

    micros: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]


class DatetimeDerivation(BaseDerivation):
    """Days since the latest moment of the training rows (negative before it), year, month (1-12), day of the month,
    weekday (1 Monday … 7 Sunday) and hour; parts with one value in all training rows are left out, the first never.

    Text is read in the one format found in the training rows, integers in the one unit; anything else is unknown. Of the
    table's values `reference`, the latest moment, is stored.
    """

    kind: Literal["datetime"] = "datetime"
    text_format: TextFormat | None = None
    integer_form: IntegerForm | None = None
    is_native: bool = False  # stored as a date or time
    reference: int = 0
    names: tuple[PartName, ...] = ("elapsed_days",)

    @classmethod
    def fit(cls, series: pl.Series, storage_type: StorageType) -> Self:
        """As `BaseDerivation.fit`; a column nothing can be read from gives a derivation that calls all unknown."""
        unfitted = cls(
            source=series.name,
            text_format=find_format(series.drop_nulls()) if storage_type == "string" else None,
            integer_form=integer_form(series.drop_nulls()) if storage_type == "integer" else None,
            is_native=storage_type in ("date", "datetime"),
        )
        moments = unfitted._moments(series)
        observed = moments.micros[moments.known]
        if not observed.size:
            return unfitted
        if unfitted.integer_form == "year":  # every moment is a first of January
            return unfitted.model_copy(update={"reference": int(observed.max())})
        calendar = _calendar(observed)
        varied = tuple(name for name, values in calendar.items() if values.min() != values.max())
        return unfitted.model_copy(
            update={"reference": int(observed.max()), "names": ("elapsed_days", *varied)}
        )

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(
            Part(name, "integer", True) if name in _CATEGORICAL else Part(name, "float", False)
            for name in self.names
        )

    def apply(self, series: pl.Series) -> list[pl.Series]:
        micros, known = self._moments(series)
        calendar = _calendar(micros)
        found: list[pl.Series] = []
        for name in self.names:
            if name in _CATEGORICAL:
                found.append(_integers(calendar[name], known))
            else:
                numbers = (
                    (micros - self.reference) / _DAY_US
                    if name == "elapsed_days"
                    else calendar[name].astype(np.float64)
                )
                found.append(pl.Series(np.where(known, numbers, np.nan)))
        return found

    def _moments(self, series: pl.Series) -> _Moments:
        if self.text_format is not None:
            moments = parse_format(cast_or_null(series, pl.String()), self.text_format)
        elif self.integer_form is not None:
            moments = moments_of_integers(cast_or_null(series, pl.Int64()), self.integer_form)
        elif self.is_native:
            moments = cast_or_null(series, pl.Datetime("us"))
        else:
            moments = pl.Series([None], dtype=pl.Datetime("us")).new_from_index(0, len(series))
        found = (
            moments.to_numpy()
        )  # datetime64[us], not-a-time where null; quicker on one row than a query of polars
        known = ~np.isnat(found)
        return _Moments(np.where(known, found.astype("datetime64[us]").astype(np.int64), 0), known)


def _integers(values: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]) -> pl.Series:
    """Int64 [n], null where not `known`."""
    if known.all():
        return pl.Series(values)
    return (
        pl.Series(values).to_frame("values").select_seq(pl.when(pl.Series(known)).then("values")).to_series()
    )


def _calendar(micros: npt.NDArray[np.int64]) -> dict[PartName, npt.NDArray[np.int64]]:
    """Calendar parts int64 [n] of moments [n]."""
    moments = micros.astype("datetime64[us]")
    days, months = moments.astype("datetime64[D]"), moments.astype("datetime64[M]")
    day_numbers, month_numbers = days.astype(np.int64), months.astype(np.int64)
    return {
        "year": month_numbers // 12 + 1970,
        "month": month_numbers % 12 + 1,
        "day": day_numbers - months.astype("datetime64[D]").astype(np.int64) + 1,
        "weekday": (day_numbers + 3) % 7 + 1,  # 1970-01-01 was a Thursday
        "hour": (micros - day_numbers * _DAY_US) // _HOUR_US,
    }
