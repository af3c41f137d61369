"""Words of the design as types: column kinds, roles, tasks, and the schema of a table's snapshot.

A schema is a *version over* an immutable snapshot: kinds and roles can change without an upload; stored
dtypes cannot.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, model_validator
from pydantic_core import PydanticCustomError

ROW_COLUMN = "_row"  # Int64, 0-based ordinal in the snapshot
KEY_COLUMN = "_key"  # String, canonical text of the key; the ordinal's text where there is none
SPLIT_COLUMN = "_split"  # String: "train" or "evaluation"
RESERVED_COLUMNS = (ROW_COLUMN, KEY_COLUMN, SPLIT_COLUMN)

JsonScalar = str | int | float | bool
StorageType = Literal["string", "integer", "float", "boolean", "date", "datetime"]


class ColumnKind(StrEnum):
    CATEGORICAL = "categorical"
    CONTINUOUS = "continuous"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    POSTAL_CODE = "postal_code"
    IP_ADDRESS = "ip_address"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"


class Role(StrEnum):
    FEATURE = "feature"
    KEY = "key"
    GROUP = "group"
    TIME = "time"
    WEIGHT = "weight"
    TARGET = "target"
    DROP = "drop"


class Task(StrEnum):
    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


ENCODED_KINDS = frozenset(ColumnKind) - {ColumnKind.IDENTIFIER, ColumnKind.CONSTANT}
"""Kinds the codec turns into tokens; the others say nothing about other rows and are only stored and reported."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnOverride(_Frozen):
    """What a user says of a column at registration or later; what is left out is inferred."""

    kind: ColumnKind | None = None
    role: Role | None = None


class ColumnSchema(_Frozen):
    name: str
    kind: ColumnKind
    role: Role = Role.FEATURE
    storage_type: StorageType
    evidence: str = ""  # why this kind, in words and counts, without cell contents
    kind_source: Literal["inferred", "override"] = "inferred"

    @property
    def is_encoded(self) -> bool:
        """Whether the column becomes a token of the encoder."""
        return self.role is Role.FEATURE and self.kind in ENCODED_KINDS


class TableSchema(_Frozen):
    columns: tuple[ColumnSchema, ...]

    def __getitem__(self, name: str) -> ColumnSchema:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def encoded(self) -> tuple[ColumnSchema, ...]:
        return tuple(column for column in self.columns if column.is_encoded)

    def with_role(self, role: Role) -> tuple[ColumnSchema, ...]:
        return tuple(column for column in self.columns if column.role is role)


Moment = StrictStr | StrictInt | Annotated[StrictFloat, Field(allow_inf_nan=False)]
"""A point on a table's time axis: ISO 8601 text where the column holds dates or times, else a number."""


class SplitBy(_Frozen):
    """How rows are assigned to train or evaluation, as the caller says it.

    `auto` is group, else key, else the raw row. `cutoff`, of a split by time: rows at or after it evaluate.
    """

    by: Literal["auto", "time", "group", "key", "row"] = "auto"
    cutoff: Moment | None = None

    @model_validator(mode="after")
    def _cutoff_is_of_time(self) -> Self:
        if self.cutoff is not None and self.by != "time":
            raise PydanticCustomError("cutoff_without_time", 'a cutoff goes with {{"by": "time"}}')
        return self


class SplitRule(_Frozen):
    """The rule a table's rows are assigned by, settled at its first ingest and kept for later snapshots.

    `cutoff` None: by another rule, or no time was known. `copies_together`: of a split by key, whether rows that
    differ in their key alone share a side.
    """

    by: Literal["time", "group", "key", "row"]
    cutoff: Moment | None = None
    copies_together: bool = False
    evaluation_fraction: float = Field(ge=0.0, le=0.5)
