"""Fitted columns of a codec: a vocabulary, or knots at label-free quantiles.

`n` rows. `encode` returns codes counted from the column's own segment (see `SpecialCode`) and fractions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.features.casting import CANONICAL_DTYPES, cast_or_null
from models.features.codec_codes import NUM_SPECIAL_CODES, SpecialCode
from models.features.schema import StorageType

LocalCodes = npt.NDArray[np.int32]
Fractions = npt.NDArray[np.float32]

# Below this many rows a dictionary lookup beats building an Enum of the vocabulary (measured: 64 rows, 40 categories,
# 12 µs against 55 µs); both give the same codes.
SMALL_BATCH_ROWS = 256

# Part of every bucket's hash, at most 16 bytes; another way to choose buckets takes another tag.
BUCKET_TAG = b"rootstock-bucket"

# Quantiles of a column longer than this come from an evenly spaced sample: their error is far below one bin's mass.
MAX_QUANTILE_ROWS = 1_000_000


class Origin(BaseModel):
    """Where a derived column comes from: one part (`month`) of a source column of the table (`signup`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    part: str


class _Fitted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    storage_type: StorageType
    missing_fraction: float = Field(ge=0, le=1)  # of the rows the codec was fitted on
    # Left out of the JSON where there is none, so that plain columns read and hash as they did in format 1.
    origin: Origin | None = Field(default=None, exclude_if=lambda origin: origin is None)

    @property
    def source(self) -> str:
        """The table's column it stands for; views, counts and reports go by this name."""
        return self.name if self.origin is None else self.origin.source


# Canonical text of one value where polars' own dtype is the stored one already; as `canonical_text` spells it.
_SPELLINGS: dict[tuple[StorageType, type[pl.DataType]], Callable[[Any], str]] = {
    ("string", pl.String): str,
    ("integer", pl.Int64): str,
    ("boolean", pl.Boolean): lambda value: "true" if value else "false",
}


class CategoricalColumn(_Fitted):
    """A column whose values are names; `categories` by falling frequency, ties by text.

    A column with more values than a vocabulary may hold has hash buckets after its categories: every other value falls
    into one of them, and none is unknown.
    """

    kind: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]
    frequencies: tuple[float, ...]  # of the non-missing rows; what is left of 1 went to the unknown code
    num_buckets: int = Field(default=0, ge=0, exclude_if=lambda number: number == 0)

    @property
    def num_values(self) -> int:
        return len(self.categories) + self.num_buckets

    def _code_outside(self, text: str) -> int:
        """Code of a text that is no category."""
        if not self.num_buckets:
            return int(SpecialCode.UNKNOWN)
        return NUM_SPECIAL_CODES + len(self.categories) + hash_bucket(text, self.num_buckets)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {category: NUM_SPECIAL_CODES + i for i, category in enumerate(self.categories)}

    def encode(self, series: pl.Series) -> tuple[LocalCodes, Fractions]:
        """Codes int32 [n] and zeros float32 [n]; a value outside the vocabulary is unknown."""
        fractions = np.zeros(len(series), dtype=np.float32)
        if len(series) <= SMALL_BATCH_ROWS:
            return self._encode_few(series), fractions
        text = canonical_text(series, self.storage_type)
        positions = text.cast(pl.Enum(list(self.categories)), strict=False).to_physical().cast(pl.Int32)
        codes = positions.fill_null(SpecialCode.UNKNOWN - NUM_SPECIAL_CODES).to_numpy() + NUM_SPECIAL_CODES
        if self.num_buckets:
            outside = text.set(positions.is_not_null(), None)
            distinct = outside.drop_nulls().unique()
            buckets = pl.Series([self._code_outside(value) for value in distinct.to_list()], dtype=pl.Int32)
            hashed = outside.replace_strict(distinct, buckets, default=None, return_dtype=pl.Int32)
            codes = np.where(hashed.is_null().to_numpy(), codes, hashed.fill_null(0).to_numpy())
        codes[series.is_null().to_numpy()] = SpecialCode.MISSING
        return codes.astype(np.int32, copy=False), fractions

    def _encode_few(self, series: pl.Series) -> LocalCodes:
        """The same codes by a dictionary: for one row every call of polars saved is a tenth of a millisecond."""
        values = series.to_list()
        spell = _SPELLINGS.get((self.storage_type, type(series.dtype)))
        texts = canonical_text(series, self.storage_type).to_list() if spell is None else map(spell, values)
        get, missing, unknown = self._codes.get, int(SpecialCode.MISSING), int(SpecialCode.UNKNOWN)
        codes = [
            missing if value is None else get(text, unknown)
            for value, text in zip(values, texts, strict=True)
        ]
        if self.num_buckets and unknown in codes:
            outside = canonical_text(series, self.storage_type).to_list()
            codes = [
                self._code_outside(text) if code == unknown and text is not None else code
                for code, text in zip(codes, outside, strict=True)
            ]
        return np.asarray(codes, dtype=np.int32).reshape(len(values))


class ContinuousColumn(_Fitted):
    """A column of numbers; `knots` are strictly increasing observed values.

    A number's code is the last knot at or below it, its fraction how far it is towards the next one; numbers outside
    the range take the end knots. Code and class of a cell are the same thing: a heavy value (many zeros, say) has a
    knot to itself, because the next observed value is a knot too.
    """

    kind: Literal["continuous"] = "continuous"
    knots: tuple[float, ...]
    median_position: float  # code + fraction of the median, counted from the first knot
    frequencies: tuple[float, ...]  # of the non-missing rows, per knot's interval

    @property
    def num_values(self) -> int:
        return len(self.knots)

    @cached_property
    def _knots(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.knots, dtype=np.float64)

    def encode(self, series: pl.Series) -> tuple[LocalCodes, Fractions]:
        """Codes int32 [n] and fractions float32 [n]; NaN is missing, what is not a number is unknown."""
        if series.dtype in (pl.Float64, pl.Int64):  # null becomes NaN without a call per question
            numbers = series.to_numpy().astype(np.float64, copy=True)
            missing = np.isnan(numbers)
            unreadable = np.zeros(len(series), dtype=np.bool_)
            numbers[missing] = 0.0
        else:
            values = to_float(series)
            missing = series.is_null().to_numpy() | values.is_nan().fill_null(False).to_numpy()
            unreadable = values.is_null().to_numpy() & ~missing
            numbers = values.fill_null(0.0).fill_nan(0.0).to_numpy()
        codes, fractions = locate(numbers, self._knots)
        codes += NUM_SPECIAL_CODES
        if not self.knots:
            unreadable |= ~missing
        codes[missing] = SpecialCode.MISSING
        codes[unreadable] = SpecialCode.UNKNOWN
        fractions[missing | unreadable] = 0.0
        return codes, fractions


CodecColumn = Annotated[CategoricalColumn | ContinuousColumn, Field(discriminator="kind")]


def canonical_text(series: pl.Series, storage_type: StorageType) -> pl.Series:
    """Values as text, spelled the same whatever dtype they arrive in (1 and 1.0 of an integer column are "1")."""
    canonical = cast_or_null(series, CANONICAL_DTYPES[storage_type])
    return canonical if canonical.dtype == pl.String else cast_or_null(canonical, pl.String())


def to_float(series: pl.Series) -> pl.Series:
    """Values as Float64; what is not a number becomes null."""
    return cast_or_null(series, pl.Float64())


def locate(
    values: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], Fractions]:
    """Index of the last knot at or below each value (int32 [n], ends clamped) and the way to the next (float32 [n])."""
    if knots.size < 2:
        return np.zeros(values.shape, dtype=np.int32), np.zeros(values.shape, dtype=np.float32)
    last = knots.size - 1
    index = np.minimum(np.maximum(np.searchsorted(knots, values, side="right") - 1, 0), last)
    low, high = knots[index], knots[np.minimum(index + 1, last)]
    # Halved, so that the span of two huge knots of opposite sign stays finite.
    with np.errstate(all="ignore"):
        fraction = (values / 2 - low / 2) / (high / 2 - low / 2)
    inside = (values > low) & (values < high)
    # fmax also turns NaN (a span too small to halve) into 0; two plain ufuncs cost a tenth of np.clip on one row.
    fractions = np.fmin(np.fmax(np.where(inside, fraction, 0.0), 0.0), 1.0).astype(np.float32)
    return index.astype(np.int32), fractions


def hash_bucket(text: str, num_buckets: int) -> int:
    """The same bucket in every process and version of the program."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, person=BUCKET_TAG).digest()
    return int.from_bytes(digest, "little") % num_buckets


def fit_categorical(
    series: pl.Series, storage_type: StorageType, *, max_categories: int, min_count: int, num_buckets: int = 0
) -> CategoricalColumn:
    """Vocabulary of the values seen at least `min_count` times, the most frequent `max_categories` of them.

    Where more values are that frequent, all others share at most `num_buckets` buckets; there a rare value cannot be told
    from one of them, since neither is stored.
    """
    text = canonical_text(series, storage_type).drop_nulls()
    counts = (
        text.rename("value").value_counts(name="count").sort(["count", "value"], descending=[True, False])
    )
    frequent = counts.filter(pl.col("count") >= min_count)
    kept = frequent.head(max_categories)
    num_buckets = min(num_buckets, frequent.height - kept.height)
    in_buckets = [0] * num_buckets
    if num_buckets:
        for value, count in counts[kept.height :].iter_rows():
            in_buckets[hash_bucket(value, num_buckets)] += count
    total = max(len(text), 1)
    return CategoricalColumn(
        name=series.name,
        storage_type=storage_type,
        missing_fraction=series.null_count() / max(len(series), 1),
        categories=tuple(kept["value"].to_list()),
        frequencies=tuple(count / total for count in [*kept["count"].to_list(), *in_buckets]),
        num_buckets=num_buckets,
    )


def fit_continuous(series: pl.Series, storage_type: StorageType, *, max_bins: int) -> ContinuousColumn:
    """Knots at every distinct value where there are at most `max_bins`, else at quantiles and beside heavy values."""
    values = to_float(series).fill_nan(None)
    observed = values.drop_nulls().to_numpy()
    observed = observed[np.isfinite(observed)]
    stride = max(1, -(-observed.size // MAX_QUANTILE_ROWS))
    sample = np.sort(observed[::stride])
    knots = quantile_knots(sample, max_bins)
    frequencies: tuple[float, ...] = ()
    median_position = 0.0
    if knots.size:
        index, _ = locate(sample, knots)
        frequencies = tuple((np.bincount(index, minlength=knots.size) / sample.size).tolist())
        # Halved first: the sum of two huge numbers is infinite.
        median = sample[(sample.size - 1) // 2] / 2 + sample[sample.size // 2] / 2
        code, fraction = locate(np.asarray([median]), knots)
        median_position = float(code[0]) + float(fraction[0])
    return ContinuousColumn(
        name=series.name,
        storage_type=storage_type,
        missing_fraction=values.null_count() / max(len(series), 1),
        knots=tuple(knots.tolist()),
        median_position=median_position,
        frequencies=frequencies,
    )


def quantile_knots(ordered: npt.NDArray[np.float64], max_bins: int) -> npt.NDArray[np.float64]:
    """Strictly increasing knots, float64 [K], K ≤ 3·max_bins + 1, of sorted finite values.

    Follows the quantile bins of piecewise-linear encodings (arXiv 2203.05556, §3.2.1).
    NOTE[DIFF]: a value that fills a bin by itself gets its successor as a knot too, so that zero-inflated columns can
    jump there instead of interpolating, and "is exactly zero" is a class of its own.
    """
    distinct, counts = np.unique(ordered, return_counts=True)
    if distinct.size <= max_bins:
        return distinct
    levels = np.linspace(0, ordered.size - 1, max_bins + 1).round().astype(np.int64)
    heavy = np.flatnonzero(counts * max_bins >= ordered.size)
    successors = np.minimum(heavy + 1, distinct.size - 1)
    return np.unique(np.concatenate([ordered[levels], distinct[heavy], distinct[successors]]))
