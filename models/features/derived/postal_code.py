"""Postal codes as their first one, two and three characters and as a whole."""

from __future__ import annotations

from typing import Literal, Self

import polars as pl

from models.features.casting import cast_or_null
from models.features.derived.base import BaseDerivation, Part
from models.features.schema import StorageType

_PREFIXES = (1, 2, 3)
_MARKS = r"[\s\-]"


class PostalCodeDerivation(BaseDerivation):
    """Prefixes are regions in most countries: `9`, `94`, `941`, then `94110`. Blanks and hyphens do not count, nor does
    case. Numbers get back the leading zeros they lost: to the width of the longest code of the training rows."""

    kind: Literal["postal_code"] = "postal_code"
    num_digits: int | None = None  # of codes stored as numbers

    @classmethod
    def fit(cls, series: pl.Series, storage_type: StorageType) -> Self:
        """As `BaseDerivation.fit`."""
        if storage_type == "string":
            return cls(source=series.name)
        widest = cast_or_null(cast_or_null(series, pl.Int64()), pl.String()).str.len_chars().max()
        return cls(source=series.name, num_digits=widest if isinstance(widest, int) else 1)

    @property
    def parts(self) -> tuple[Part, ...]:
        names = (*(f"prefix_{length}" for length in _PREFIXES), "code")
        return tuple(Part(name, "string", True) for name in names)

    def apply(self, series: pl.Series) -> list[pl.Series]:
        if self.num_digits is not None:
            codes = cast_or_null(series, pl.Int64())
            whole = pl.col("code").cast(pl.String).str.zfill(self.num_digits)
        else:
            codes = cast_or_null(series, pl.String())
            bare = pl.col("code").str.replace_all(_MARKS, "").str.to_uppercase()
            whole = pl.when(bare.str.len_bytes() > 0).then(bare)
        prefixes = (whole.str.head(length).alias(f"prefix_{length}") for length in _PREFIXES)
        return codes.to_frame("code").select_seq(*prefixes, whole.alias("code")).get_columns()
