"""Tables, their columns, snapshots and profile."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.base import AnswerBody, Instant, JsonMapping, Name, RequestBody
from app.schemas.jobs import JobBody
from app.schemas.payloads import DEFAULT_PRETRAIN_SECONDS
from models.features.schema import ColumnKind, ColumnOverride, Role, SplitBy


class RegisterRequest(RequestBody):
    """The form fields of a registration, besides the file."""

    name: Name
    columns: Annotated[dict[str, Annotated[ColumnOverride, Field(strict=False)]], Field(default_factory=dict)]
    split: Annotated[SplitBy, Field(strict=False)] = SplitBy()
    evaluation_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    pretrain: bool = False
    pretrain_max_seconds: Annotated[float, Field(gt=0, le=86_400)] = DEFAULT_PRETRAIN_SECONDS


class ColumnChange(RequestBody):
    """A new kind, a new role, or both; what is left out stays."""

    kind: Annotated[ColumnKind | None, Field(strict=False)] = None
    role: Annotated[Role | None, Field(strict=False)] = None


class ColumnsPatch(RequestBody):
    columns: Annotated[dict[str, ColumnChange], Field(min_length=1)]


class ColumnBody(AnswerBody):
    name: str
    kind: ColumnKind
    role: Role
    storage_type: str
    evidence: str
    kind_source: Literal["inferred", "override"]


class SnapshotBody(AnswerBody):
    id: str
    version: int
    num_rows: int
    num_bytes: int
    as_of: Instant
    created_at: Instant


class SnapshotList(AnswerBody):
    snapshots: list[SnapshotBody]


class TableSummary(AnswerBody):
    """A table as listings and acceptances show it."""

    name: str
    id: str
    status: Literal["registering", "ready"]
    created_at: Instant
    schema_version: int
    num_rows: int | None = None


class TableList(AnswerBody):
    tables: list[TableSummary]
    next_cursor: str | None


class TableBody(TableSummary):
    snapshot: SnapshotBody | None
    columns: list[ColumnBody]
    active_encoder: int | None = Field(description="Version of the active encoder.")
    targets: list[str]
    settings: JsonMapping


class TableAccepted(AnswerBody):
    table: TableSummary
    job: JobBody
    warnings: list[str]


class ProfileBody(AnswerBody):
    """What was found in the rows of a snapshot, with the kinds and roles that hold now."""

    table: str
    snapshot: int
    schema_version: int
    num_rows: int
    columns: dict[str, dict[str, Any]]
    warnings: list[str]
    duplicates: int | None = None
    splits: dict[str, int] | None = None


class StaleEncoder(AnswerBody):
    encoder: int
    reason: str


class ColumnsPatched(AnswerBody):
    schema_version: int
    columns: list[ColumnBody]
    stale: list[StaleEncoder] = Field(
        description="Encoders trained with other kinds or roles; they keep serving."
    )
    warnings: list[str]


class TableDeleted(AnswerBody):
    """What went with the table; `artifacts` counts the stored objects that nothing else used."""

    table: str
    snapshots: int
    encoders: int
    targets: int
    heads: int
    cancelled_jobs: list[str]
    artifacts: int
