"""Dates and times that stand in text: which formats are recognised, and when a column has exactly one."""

from __future__ import annotations

import polars as pl

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d.%m.%Y", "%d.%m.%y", "%d-%m-%Y",
    "%m-%d-%Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y",
)  # fmt: skip
_TIMES = (" %H:%M:%S%.f", " %H:%M", "T%H:%M:%S%.f", "T%H:%M")
_MOMENTS = (
    *(date + time for date in _DATES for time in _TIMES[: 4 if date == "%Y-%m-%d" else 2]),
    "%Y%m%dT%H%M%S", "%d/%b/%Y:%H:%M:%S", "[%d/%b/%Y:%H:%M:%S",
)  # fmt: skip
_ZONE = r"(?:Z|[+-]\d\d:?\d\d)$"
_SHAPE = r"^\[?(?:\d{1,4}[-/. ]|[A-Z][a-z]{2,8} \d|\d{8}T)"


def moment_share(text: pl.Series) -> float:
    """Part of the cells of `text` (String, no nulls, not empty) that parse in any recognised format."""
    stripped = text.str.strip_chars()
    has_shape = stripped.str.contains(_SHAPE)
    if not has_shape.any():
        return 0.0
    local = stripped.str.replace(_ZONE, "")
    parsed = pl.Series([False]).new_from_index(0, len(text))
    for template in (*_DATES, *_MOMENTS):
        parsed = parsed | _parse(local, template).is_not_null()
        if parsed.all():
            break
    return int((parsed & has_shape).sum()) / len(text)


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
    if "%H" in template:
        return text.str.to_datetime(template, time_unit="us", strict=False)
    return text.str.to_date(template, strict=False).cast(pl.Datetime("us"))
