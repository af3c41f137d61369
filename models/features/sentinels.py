"""Values that probably stand for "missing": -200 in a column of concentrations, 9999 among ages, `?` among words."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

_MIN_SHARE = 0.001
_MIN_COUNT = 5
_TEXTS = frozenset(
    {
        "?",
        "-",
        "--",
        ".",
        "unknown",
        "missing",
        "not available",
        "not known",
        "undefined",
        "na",
        "none",
        "nil",
        "n.a.",
        "#n/a",
    }
)


class Sentinel(NamedTuple):
    value: float
    num_rows: int


def numeric_sentinel(values: pl.Series) -> Sentinel | None:
    """The smallest or largest value of `values` (numeric, no nulls) when it repeats, looks made up (-1, -200,
    9999 …) and stands apart: a negative one among values that are else not negative, or one further from its
    neighbour than the middle 98 % of the others are wide."""
    for extreme in (values.min(), values.max()):
        if not isinstance(extreme, int | float) or not _looks_made_up(extreme):
            continue
        is_extreme = values == extreme
        count = int(is_extreme.sum())
        if count < max(_MIN_COUNT, _MIN_SHARE * len(values)) or count == len(values):
            continue
        others = values.filter(~is_extreme)
        if others.n_unique() < 3:
            continue
        nearest = others.min() if extreme < 0 else others.max()
        low, high = others.quantile(0.01), others.quantile(0.99)
        assert isinstance(nearest, int | float)
        assert low is not None
        assert high is not None
        is_lone_negative = extreme < 0 <= nearest
        if is_lone_negative or abs(extreme - nearest) > max(high - low, 1.0):
            return Sentinel(float(extreme), count)
    return None


def text_sentinels(distinct: pl.Series) -> list[str]:
    """Those of the `distinct` texts (as spelled, sorted) that are words for "unknown"."""
    is_word = distinct.str.strip_chars().str.to_lowercase().is_in(list(_TEXTS))
    return sorted(distinct.filter(is_word).to_list())


def _looks_made_up(value: float) -> bool:
    """-1, and whole numbers of at least two digits written with nines only, or round in hundreds when negative."""
    if not float(value).is_integer():
        return False
    digits = str(abs(int(value)))
    is_nines = set(digits) == {"9"}
    if value > 0:
        return is_nines and len(digits) >= 2
    return value == -1 or is_nines or (len(digits) >= 3 and set(digits[1:]) == {"0"})
