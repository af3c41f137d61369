"""Fits the columns of a codec: which there are, of which sizes, from which parts of which source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from models.features.codec_columns import (
    CategoricalColumn,
    CodecColumn,
    ContinuousColumn,
    Origin,
    fit_categorical,
    fit_continuous,
)
from models.features.derived import DERIVATIONS, Derivation
from models.features.schema import ColumnKind, StorageType, TableSchema

# Knots of numbers derived row by row in Python (text) come from an evenly spaced sample.
MAX_DERIVED_ROWS = 20_000
_SAMPLED_KINDS = frozenset({ColumnKind.TEXT})

_Fitted = TypeVar("_Fitted", CategoricalColumn, ContinuousColumn)


class CodecConfig(BaseModel):
    """Sizes of vocabularies and bins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bins: int = Field(default=32, ge=2, le=256)
    max_categories: int = Field(default=1_000, ge=1, le=100_000)
    max_total_categories: int = Field(default=100_000, ge=1)  # over all columns; bounds the packed table
    # Values seen in fewer rows are never stored, and unknown: one row teaches nothing, and says who it was.
    min_count: int = Field(default=2, ge=1)
    hash_buckets: int = Field(
        default=64, ge=0, le=10_000
    )  # shared by values beyond max_categories; 0: unknown


class FittedColumns(NamedTuple):
    columns: tuple[CodecColumn, ...]
    derivations: tuple[Derivation, ...]


class _Planned(NamedTuple):
    """A codec column to fit; of a derived one, `values` are those where its source has a value."""

    name: str
    values: pl.Series
    storage_type: StorageType
    is_categorical: bool
    origin: Origin | None = None
    missing_fraction: float = 0.0  # of the source, where the column is not its own


def fit_columns(frame: pl.DataFrame, schema: TableSchema, config: CodecConfig) -> FittedColumns:
    """One column per plain column among the encoded ones, one per part of the others; categorical ones first."""
    derivations = tuple(
        DERIVATIONS[column.kind].fit(frame[column.name], column.storage_type)
        for column in schema.encoded
        if column.kind in DERIVATIONS
    )
    planned = list(_planned(frame, schema, derivations))
    named = [column for column in planned if column.is_categorical]
    budget = config.max_total_categories // max(len(named), 1)
    num_buckets = min(config.hash_buckets, budget // 8)
    max_categories = max(1, min(config.max_categories, budget - num_buckets))
    columns: list[CategoricalColumn | ContinuousColumn] = [
        _traced(
            fit_categorical(
                column.values.alias(column.name),
                column.storage_type,
                max_categories=max_categories,
                min_count=config.min_count,
                num_buckets=num_buckets,
            ),
            column,
        )
        for column in named
    ]
    columns += [
        _traced(
            fit_continuous(column.values.alias(column.name), column.storage_type, max_bins=config.max_bins),
            column,
        )
        for column in planned
        if not column.is_categorical
    ]
    return FittedColumns(tuple(columns), derivations)


def _planned(
    frame: pl.DataFrame, schema: TableSchema, derivations: Sequence[Derivation]
) -> Iterator[_Planned]:
    by_source = {derivation.source: derivation for derivation in derivations}
    taken = set(schema.names)
    for column in schema.encoded:
        values = frame[column.name]
        derivation = by_source.get(column.name)
        if derivation is None:
            is_categorical = column.kind is not ColumnKind.CONTINUOUS
            yield _Planned(column.name, values, column.storage_type, is_categorical)
            continue
        missing_fraction = values.null_count() / max(len(values), 1)
        if column.kind in _SAMPLED_KINDS:
            values = values.gather_every(max(1, -(-len(values) // MAX_DERIVED_ROWS)))
        observed = values.filter(values.is_not_null())
        for part, series in zip(derivation.parts, derivation.apply(observed), strict=True):
            name = _free_name(f"{column.name}·{part.name}", taken)
            taken.add(name)
            yield _Planned(
                name=name,
                values=series,
                storage_type=part.storage_type,
                is_categorical=part.is_categorical,
                origin=Origin(source=column.name, part=part.name),
                missing_fraction=missing_fraction,
            )


def _free_name(name: str, taken: Collection[str]) -> str:
    """A derived column's name, unless a column of the table has it."""
    while name in taken:
        name += "·"
    return name


def _traced(fitted: _Fitted, planned: _Planned) -> _Fitted:
    """Shares of a part, which was fitted where its source has a value: what it could not read there is unknown."""
    if planned.origin is None:
        return fitted
    readable = 1.0 - fitted.missing_fraction
    return fitted.model_copy(
        update={
            "origin": planned.origin,
            "missing_fraction": planned.missing_fraction,
            "frequencies": tuple(frequency * readable for frequency in fitted.frequencies),
        }
    )
