"""How far the values of one column moved, and how far they would have moved by chance.

Values are put into bins of the rows before: tenths of their range of ranks for numbers (beyond the ends included),
the 20 most frequent values and "others" for categories. `js` is the Jensen-Shannon divergence of the two shares in
bits (0 the same, 1 nothing in common), `psi` the population stability index, `ks` the largest distance between the
two distribution functions (numbers only).

Sampling noise: a distance counts only where chance alone would reach it in fewer than `ALPHA` of the tables whose
columns did not move at all: a chi-squared test of homogeneity over the bins, and the Kolmogorov-Smirnov bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

ALPHA = 0.01  # of false alarms per table
NUM_BINS = 10
TOP_VALUES = 20
MIN_VALUES = 30  # on either side; with fewer nothing is said

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shift:
    """Figures of one column; `is_significant` False: chance explains it."""

    js: float
    psi: float
    ks: float | None
    is_significant: bool


def numeric_shift(before: pl.Series, after: pl.Series, num_columns: int) -> Shift | None:
    """`before` [n] and `after` [m]: numbers without nulls; None where they are too few."""
    if min(len(before), len(after)) < MIN_VALUES:
        return None
    old, new = (np.sort(part.to_numpy().astype(np.float64)) for part in (before, after))
    edges = np.unique(np.quantile(old, np.linspace(0.0, 1.0, NUM_BINS + 1)[1:-1]))
    binned = [
        np.bincount(np.searchsorted(edges, part, side="left"), minlength=len(edges) + 1)
        for part in (old, new)
    ]
    points = np.concatenate([old, new])
    ks = float(np.abs(_below(old, points) - _below(new, points)).max())
    alpha = ALPHA / max(num_columns, 1)
    bound = math.sqrt(-math.log(alpha / 2) / 2) * math.sqrt((len(old) + len(new)) / (len(old) * len(new)))
    return _shift(binned[0].astype(np.float64), binned[1].astype(np.float64), alpha, ks=ks, ks_bound=bound)


def category_shift(before: pl.Series, after: pl.Series, num_columns: int) -> Shift | None:
    """`before` [n] and `after` [m]: values of one type without nulls; None where they are too few."""
    if min(len(before), len(after)) < MIN_VALUES:
        return None
    old, new = (part.rename("value").value_counts(name="count") for part in (before, after))
    both = old.join(new, on="value", how="full", coalesce=True).fill_null(0)
    both = both.with_columns(all=pl.col("count") + pl.col("count_right")).sort(
        "all", "value", descending=True
    )
    counts = both.select("count", "count_right").to_numpy().astype(np.float64)
    binned = np.vstack([counts[:TOP_VALUES], counts[TOP_VALUES:].sum(axis=0, keepdims=True)])
    return _shift(binned[:, 0], binned[:, 1], ALPHA / max(num_columns, 1))


def unseen_share(before: pl.Series, after: pl.Series) -> tuple[float, bool]:
    """Share of `after` whose value does not occur in `before`, and whether it is more than new values come by chance:
    values seen once in `before` tell how often one is new (Good and Turing)."""
    if not len(after):
        return 0.0, False
    share = int((~after.is_in(before.unique().implode())).sum()) / len(after)
    expected = int(before.is_unique().sum()) / len(before) if len(before) else 1.0
    spread = math.sqrt(expected * (1.0 - expected) / len(after))
    return share, share > expected + 4.0 * spread + 4.0 / len(after)


def shares_differ(before: tuple[int, int], after: tuple[int, int], num_columns: int) -> bool:
    """Whether two shares (count, of how many) differ by more than chance: the two-sided test of two proportions."""
    (old, n), (new, m) = before, after
    if not n or not m:
        return False
    pooled = (old + new) / (n + m)
    spread = math.sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m))
    limit = NormalDist().inv_cdf(1.0 - ALPHA / max(num_columns, 1) / 2)
    return abs(old / n - new / m) > limit * spread + 1.0 / n + 1.0 / m


def _shift(
    old: Counts, new: Counts, alpha: float, *, ks: float | None = None, ks_bound: float = 0.0
) -> Shift:
    """`old`, `new` [B]: counts per bin."""
    filled = (old + new) > 0
    old, new = old[filled], new[filled]
    n, m = old.sum(), new.sum()
    p, q = old / n, new / m
    middle = (p + q) / 2
    js = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / math.log(2)
    # Half a row in an empty bin, as is usual: the index has no value for shares of zero.
    p_some, q_some = np.maximum(p, 0.5 / n), np.maximum(q, 0.5 / m)
    psi = float(((p_some - q_some) * np.log(p_some / q_some)).sum())
    statistic = float(((math.sqrt(m / n) * old - math.sqrt(n / m) * new) ** 2 / (old + new)).sum())
    differs = len(old) > 1 and statistic > _chi_squared_quantile(1.0 - alpha, len(old) - 1)
    differs = differs or (ks is not None and ks > ks_bound)
    return Shift(js=max(0.0, float(js)), psi=psi, ks=ks, is_significant=bool(differs))


def _relative_entropy(p: Counts, q: Counts) -> float:
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def _chi_squared_quantile(probability: float, degrees: int) -> float:
    """Wilson and Hilferty's approximation, within 1 % here."""
    part = 2.0 / (9.0 * degrees)
    return degrees * (1.0 - part + NormalDist().inv_cdf(probability) * math.sqrt(part)) ** 3


def _below(ordered: Counts, points: Counts) -> Counts:
    return np.searchsorted(ordered, points, side="right") / len(ordered)
