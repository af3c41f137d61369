"""What every derivation is: a frozen, fitted way from one source column to a few plain ones.

`n` rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, Self

import polars as pl
from pydantic import BaseModel, ConfigDict

from models.features.schema import StorageType


class Part(NamedTuple):
    """One derived column: `name` inside its source, and what its values are stored as."""

    name: str
    storage_type: StorageType
    is_categorical: bool


class BaseDerivation(BaseModel, ABC):
    """Parts of a source column, each value from its own row alone.

    A part is null where the source is null, and where the source's value cannot be read; the codec tells the two apart
    (missing, unknown). Nothing that is stored holds a value of the table except as its docstring says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str

    @classmethod
    @abstractmethod
    def fit(cls, series: pl.Series, storage_type: StorageType) -> Self:
        """From a column of the training rows [n], stored as `storage_type`; any dtype and any values."""

    @property
    @abstractmethod
    def parts(self) -> tuple[Part, ...]:
        """What `apply` gives, in its order; at least one."""

    @abstractmethod
    def apply(self, series: pl.Series) -> list[pl.Series]:
        """The parts of `series` [n], [n] each; never raises on values."""


def map_distinct(
    series: pl.Series, of: Callable[[str], tuple[str | None, ...]], num_parts: int
) -> list[pl.Series]:
    """`of` each distinct text of `series` (String [n]), as `num_parts` columns String [n]; null gives nulls."""
    known: dict[str | None, tuple[str | None, ...]] = {None: (None,) * num_parts}
    values = series.to_list()
    for value in set(values) - {None}:
        known[value] = of(value)
    rows = [known[value] for value in values]
    return [pl.Series([row[part] for row in rows], dtype=pl.String) for part in range(num_parts)]
