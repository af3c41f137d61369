"""The codec: raw columns to codes, fitted without labels, stored as JSON.

Columns stand in token order: categoricals first, then continuous ones, each in the schema's order. `B` rows,
`C` columns.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl
import torch
from pydantic import BaseModel, ConfigDict, Field

from models.errors import EncoderError
from models.features.codec_codes import NUM_SPECIAL_CODES, Codes, SpecialCode
from models.features.codec_columns import (
    CategoricalColumn,
    CodecColumn,
    ContinuousColumn,
    fit_categorical,
    fit_continuous,
)
from models.features.schema import ColumnKind, TableSchema

__all__ = [
    "NUM_SPECIAL_CODES",
    "CategoricalColumn",
    "Codec",
    "CodecColumn",
    "CodecConfig",
    "Codes",
    "ContinuousColumn",
    "SpecialCode",
]


class CodecConfig(BaseModel):
    """Sizes of vocabularies and bins."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bins: int = Field(default=32, ge=2, le=256)
    max_categories: int = Field(default=1_000, ge=1)
    max_total_categories: int = Field(default=100_000, ge=1)  # over all columns; bounds the packed table
    min_count: int = Field(default=2, ge=1)  # rarer categories are unknown: one row teaches nothing


class Codec(BaseModel):
    """Fitted transform from raw columns to codes.

    Example:
        >>> from models.features.schema import ColumnKind, ColumnSchema, TableSchema
        >>> schema = TableSchema(columns=(ColumnSchema(name="a", kind=ColumnKind.CONTINUOUS, storage_type="float"),))
        >>> codec = Codec.fit(pl.DataFrame({"a": [0.0, 1.0, 2.0]}), schema)
        >>> codec.transform(pl.DataFrame({"a": [0.5, None]})).index.tolist()
        [[4], [2]]
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[CodecColumn, ...]

    @classmethod
    def fit(cls, frame: pl.DataFrame, schema: TableSchema, config: CodecConfig | None = None) -> Codec:
        """Fit on the rows of `frame` (training rows only: the caller's duty); one entry per encoded column.

        Raises:
            EncoderError: no column of the schema can be encoded (`no_encoded_columns`), or one is not in the frame.
        """
        config = config or CodecConfig()
        encoded = schema.encoded
        if not encoded:
            raise EncoderError(
                "A table needs at least one feature column of kind categorical, boolean, postal_code or continuous "
                f"to be encoded; none of its {len(schema.columns)} columns is. Change kinds or roles.",
                code="no_encoded_columns",
            )
        absent = [column.name for column in encoded if column.name not in frame.columns]
        if absent:
            raise EncoderError(
                f"The codec is fitted on all feature columns; {len(absent)} are not in the rows: {absent[:5]}.",
                code="missing_columns",
            )
        numeric = [column for column in encoded if column.kind is ColumnKind.CONTINUOUS]
        named = [column for column in encoded if column.kind is not ColumnKind.CONTINUOUS]
        budget = config.max_total_categories // max(len(named), 1)
        max_categories = max(1, min(config.max_categories, budget))
        columns: list[CategoricalColumn | ContinuousColumn] = [
            fit_categorical(
                frame[column.name],
                column.storage_type,
                max_categories=max_categories,
                min_count=config.min_count,
            )
            for column in named
        ]
        columns += [
            fit_continuous(frame[column.name], column.storage_type, max_bins=config.max_bins)
            for column in numeric
        ]
        return cls(columns=tuple(columns))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def source_of(self) -> tuple[str, ...]:
        """Per column, the table's column it stands for; derived columns share theirs."""
        return tuple(column.source for column in self.columns)

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The table's columns that are read, in the order of their first codec column."""
        return tuple(dict.fromkeys(self.source_of))

    @cached_property
    def source_index(self) -> torch.Tensor:
        """Position of each column's source in `sources`, int64 [C]: what hides one of them hides them all."""
        positions = {source: position for position, source in enumerate(self.sources)}
        return torch.tensor([positions[source] for source in self.source_of], dtype=torch.int64)

    @cached_property
    def num_categorical(self) -> int:
        """Columns 0 … num_categorical - 1 are categorical, the rest continuous."""
        return sum(1 for column in self.columns if isinstance(column, CategoricalColumn))

    @property
    def categorical(self) -> tuple[CategoricalColumn, ...]:
        return tuple(column for column in self.columns if isinstance(column, CategoricalColumn))

    @property
    def continuous(self) -> tuple[ContinuousColumn, ...]:
        return tuple(column for column in self.columns if isinstance(column, ContinuousColumn))

    @cached_property
    def offsets(self) -> torch.Tensor:
        """First row of each column's segment in the packed table, int64 [C]."""
        sizes = [0] + [NUM_SPECIAL_CODES + column.num_values for column in self.columns]
        return torch.tensor(sizes[:-1], dtype=torch.int64).cumsum(0)

    @cached_property
    def num_embeddings(self) -> int:
        """Rows of the packed table."""
        return sum(NUM_SPECIAL_CODES + column.num_values for column in self.columns)

    def transform(self, frame: pl.DataFrame) -> Codes:
        """Codes of every row; a column the frame lacks is missing, columns it has beyond these are ignored.

        Never raises on values: what was never seen is unknown, numbers out of range take the end knots.
        """
        num_rows, num_columns = frame.height, len(self.columns)
        index = np.empty((num_columns, num_rows), dtype=np.int32)
        fraction = np.zeros((num_columns, num_rows), dtype=np.float32)
        for position, (column, offset) in enumerate(zip(self.columns, self.offsets.tolist(), strict=True)):
            if column.name in frame.columns:
                codes, fractions = column.encode(frame[column.name])
                index[position] = codes + offset
                fraction[position] = fractions
            else:
                index[position] = offset + SpecialCode.MISSING
        return Codes(
            torch.from_numpy(np.ascontiguousarray(index.T)),
            torch.from_numpy(np.ascontiguousarray(fraction.T)),
            self.names,
            self.offsets,
        )
