"""The codec: raw columns to codes, fitted without labels, stored as JSON.

Columns stand in token order: categoricals first, then continuous ones, each in the schema's order. `B` rows,
`C` columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import BaseModel, ConfigDict, Field

from models.errors import EncoderError
from models.features.codec_codes import NUM_SPECIAL_CODES, Codes, SpecialCode
from models.features.codec_columns import CategoricalColumn, CodecColumn, ContinuousColumn, Origin
from models.features.codec_fitting import CodecConfig, fit_columns
from models.features.derived import Derivation
from models.features.schema import ColumnKind, ColumnSchema, TableSchema

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


class _PartValues(NamedTuple):
    """Shape: both [B]."""

    values: pl.Series
    has_source: npt.NDArray[np.bool_]


class PlainColumns(NamedTuple):
    """Columns for models without this encoder; `source_of` names the column of the table behind each derived one."""

    frame: pl.DataFrame
    columns: tuple[ColumnSchema, ...]
    source_of: dict[str, str]


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
    derivations: tuple[Derivation, ...] = Field(default=(), exclude_if=lambda derivations: not derivations)

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
                "A table needs at least one feature column that is neither identifier nor constant; none of its "
                f"{len(schema.columns)} columns is one. Change kinds or roles.",
                code="no_encoded_columns",
            )
        absent = [column.name for column in encoded if column.name not in frame.columns]
        if absent:
            raise EncoderError(
                f"The codec is fitted on all feature columns; {len(absent)} are not in the rows: {absent[:5]}.",
                code="missing_columns",
            )
        fitted = fit_columns(frame, schema, config)
        return cls(columns=fitted.columns, derivations=fitted.derivations)

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

        Never raises on values: what was never seen or cannot be read is unknown, numbers out of range take the end knots.
        """
        num_rows, num_columns = frame.height, len(self.columns)
        index = np.empty((num_columns, num_rows), dtype=np.int32)
        fraction = np.zeros((num_columns, num_rows), dtype=np.float32)
        present = frozenset(frame.columns)
        parts = self._parts(frame) if self.derivations else {}
        for position, (column, offset) in enumerate(self._segments):
            if column.source not in present:
                index[position] = offset + SpecialCode.MISSING
                continue
            if column.origin is None:
                codes, fractions = column.encode(frame[column.name])
            else:
                part = parts[column.origin]
                codes, fractions = column.encode(part.values)
                codes[part.has_source & (codes == SpecialCode.MISSING)] = SpecialCode.UNKNOWN
            index[position] = codes + offset
            fraction[position] = fractions
        return Codes(
            torch.from_numpy(np.ascontiguousarray(index.T)),
            torch.from_numpy(np.ascontiguousarray(fraction.T)),
            self.names,
            self.offsets,
            self.source_of,
        )

    def expand(self, frame: pl.DataFrame, columns: Sequence[ColumnSchema]) -> PlainColumns:
        """The `columns` of `frame` as plain ones, for models without this encoder: those of a kind that is derived become
        their parts, categorical or continuous, under the names they have here; a null part is missing or unreadable."""
        parts = self._parts(frame.select([column.name for column in columns])) if self.derivations else {}
        values: list[pl.Series] = []
        schemas: list[ColumnSchema] = []
        source_of: dict[str, str] = {}
        for schema in columns:
            derived = [column for column in self.columns if column.origin and column.source == schema.name]
            if not derived:
                values.append(frame[schema.name])
                schemas.append(schema)
            for column in derived:
                assert column.origin is not None
                part = parts[column.origin].values
                values.append((part.fill_nan(None) if part.dtype.is_float() else part).alias(column.name))
                kind = ColumnKind(column.kind)
                schemas.append(ColumnSchema(name=column.name, kind=kind, storage_type=column.storage_type))
                source_of[column.name] = schema.name
        return PlainColumns(pl.DataFrame(values), tuple(schemas), source_of)

    @cached_property
    def _segments(self) -> tuple[tuple[CategoricalColumn | ContinuousColumn, int], ...]:
        """Columns with their offsets, without a tensor in between: a request of one row pays for each call."""
        return tuple(zip(self.columns, self.offsets.tolist(), strict=True))

    def _parts(self, frame: pl.DataFrame) -> dict[Origin, _PartValues]:
        """Derived values of the sources that are in the frame."""
        found: dict[Origin, _PartValues] = {}
        for derivation in self.derivations:
            if derivation.source not in frame.columns:
                continue
            series = frame[derivation.source]
            has_source = (
                series.is_not_null().to_numpy()
                if series.null_count()
                else np.ones(len(series), dtype=np.bool_)
            )
            for part, values in zip(derivation.parts, derivation.apply(series), strict=True):
                found[Origin(source=derivation.source, part=part.name)] = _PartValues(values, has_source)
        return found
