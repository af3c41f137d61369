"""Dates and times that stand in text: which formats are recognised, and when a column has exactly one."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from pydantic import BaseModel, ConfigDict

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y",
    "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y",
)  # fmt: skip
_TIMES = (" %H:%M:%S%.f", " %H:%M", "T%H:%M:%S%.f", "T%H:%M")
_MOMENTS = (
    *(date + time for date in _DATES for time in _TIMES[: 4 if date == "%Y-%m-%d" else 2]),
    "%Y%m%dT%H%M%S", "%d/%b/%Y:%H:%M:%S", "[%d/%b/%Y:%H:%M:%S",
)  # fmt: skip
# Only after a time: the year of 29-02-2024 is no zone.
_ZONE = r"((?::\d\d|T\d{4}|T\d{6})(?:\.\d+)?) ?(?:Z|[+-]\d\d:?\d\d)$"
_OFFSET = r"([+-])(\d\d):?(\d\d)$"
_SHAPE = r"^\[?(?:\d{1,4}[-/. ]|[A-Z][a-z]{2,8} \d|\d{8}T)"
_SAMPLE = 20_000  # distinct cells, evenly spaced
_MOST_YEARS_AHEAD = 20
# Outside these a template has misread the cell: `24` is no year of four digits.
_FIRST_YEAR, _LAST_YEAR = 1000, 2999


class TextFormat(BaseModel):
    """The one way a column writes its moments: a strptime template, and whether times name their zone.

    `last_year`: the last year that a year of two digits stands for, where strptime's rule (69 to 99 are before 2000)
    would put births and the like far into the future; what comes later is meant a century earlier.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    template: str
    has_zone: bool = False
    last_year: int | None = None


def moment_share(text: pl.Series) -> float:
    """Part of the cells of `text` (String, no nulls, not empty) that parse in any recognised format."""
    stripped = text.str.strip_chars()
    has_shape = stripped.str.contains(_SHAPE)
    if not has_shape.any():
        return 0.0
    local = stripped.str.replace(_ZONE, "${1}")
    parsed = pl.Series([False]).new_from_index(0, len(text))
    for template in (*_DATES, *_MOMENTS):
        parsed = parsed | _parse(local, template).is_not_null()
        if parsed.all():
            break
    return int((parsed & has_shape).sum()) / len(text)


def find_format(text: pl.Series) -> TextFormat | None:
    """The format that most distinct cells of `text` (String, no nulls) are written in; None where none fits any.

    Of formats that fit equally many (day and month both below 13 throughout) the first of the list is taken, which puts
    the day first: the same choice for every row of the column, so that what is derived stays consistent.
    """
    distinct = text.unique(maintain_order=True)
    sample = distinct.gather_every(max(1, -(-len(distinct) // _SAMPLE))).str.strip_chars()
    if not len(sample):
        return None
    has_zone = sample.str.contains(_ZONE)
    local = sample.str.replace(_ZONE, "${1}")
    best: str | None = None
    most = 0
    for template in (*_DATES, *_MOMENTS):
        count = _num_plausible(_parse(local, template))
        if count > most:
            best, most = template, count
        if most == len(sample):
            break
    if best is None:
        return None
    last_year = _last_year(_parse(local, best)) if "%y" in best else None
    return TextFormat(template=best, has_zone=bool(has_zone.any()), last_year=last_year)


def _last_year(moments: pl.Series) -> int | None:
    """Dates decades ahead are none that people write with two digits: then no date of the column is ahead."""
    this_year = datetime.now(UTC).year
    latest = moments.dt.year().max()
    return this_year if isinstance(latest, int) and latest > this_year + _MOST_YEARS_AHEAD else None


def format_share(text: pl.Series, found: TextFormat) -> float:
    """Part of the cells of `text` (String, no nulls, not empty) that are written in the format."""
    return _num_plausible(parse_format(text, found)) / len(text)


def parse_format(text: pl.Series, found: TextFormat) -> pl.Series:
    """`text` String [n] as Datetime[us] [n], in UTC where it names zones; null where it is not in the format."""
    stripped = pl.col("text").str.strip_chars()
    if found.has_zone:
        cells = stripped.str.extract_groups(_OFFSET).struct
        minutes = cells.field("2").cast(pl.Int64) * 60 + cells.field("3").cast(pl.Int64)
        ahead = pl.when(cells.field("1") == "-").then(-minutes).otherwise(minutes).fill_null(0)
        local = _moments_of(stripped.str.replace(_ZONE, "${1}"), found.template)
        moments = _in_century(local, found.last_year) - (ahead * 60_000_000).cast(pl.Duration("us"))
    else:
        moments = _in_century(_moments_of(stripped, found.template), found.last_year)
    return text.to_frame("text").select_seq(moments).to_series()


def _in_century(moments: pl.Expr, last_year: int | None) -> pl.Expr:
    if last_year is None:
        return moments
    return pl.when(moments.dt.year() > last_year).then(moments.dt.offset_by("-100y")).otherwise(moments)


def _num_plausible(moments: pl.Series) -> int:
    return int(moments.dt.year().is_between(_FIRST_YEAR, _LAST_YEAR).sum())


def parse_moments(text: pl.Series) -> pl.Series | None:
    """`text` String [N] as Datetime[us] [N] in the only format that fits all non-null cells; None when no format
    fits all, or two fit with different meanings (day and month both below 13 throughout)."""
    stripped = text.str.strip_chars()
    found: pl.Series | None = None
    for template in (*_DATES, *_MOMENTS):
        moments = _parse(stripped, template)
        if moments.null_count() != text.null_count():
            continue
        if found is not None and not (found == moments).all():
            return None
        found = moments
    return found


def _parse(text: pl.Series, template: str) -> pl.Series:
    return text.to_frame("text").select_seq(_moments_of(pl.col("text"), template)).to_series()


def _moments_of(text: pl.Expr, template: str) -> pl.Expr:
    """One expression: a single row pays for one query of polars, not for one per step."""
    if "%H" in template:
        return text.str.to_datetime(template, time_unit="us", strict=False)
    return text.str.to_date(template, strict=False).cast(pl.Datetime("us"))
