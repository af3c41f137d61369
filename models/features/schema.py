"""Words of the design as types: column kinds, roles, tasks, and the schema of a table's snapshot.

A schema is a *version over* an immutable snapshot: kinds and roles can change without an upload; stored
dtypes cannot.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

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


ENCODED_KINDS = frozenset(
    {ColumnKind.CATEGORICAL, ColumnKind.CONTINUOUS, ColumnKind.BOOLEAN, ColumnKind.POSTAL_CODE}
)
"""Kinds the codec turns into tokens today; the others are stored and reported."""


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


class SplitBy(_Frozen):
    """How rows are assigned to train or evaluation; `auto` is group, else key, else the raw row."""

    by: Literal["auto", "time"] = "auto"
