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


class SnapshotRequest(RequestBody):
    """The form fields of a new snapshot, besides the files; what is left out stays as the table has it."""

    mode: Literal["replace", "append", "upsert"]
    on_conflict: Literal["refuse", "keep", "update"] | None = Field(
        default=None, description="What becomes of rows whose key is there: refuse (append), update (upsert)."
    )
    drift: Literal["refuse", "accept"] = Field(
        default="refuse", description="Whether rows that differ severely from the table are taken."
    )
    parent: Annotated[
        int | None, Field(ge=1, description="Refuse unless this snapshot version is current.")
    ] = None
    columns: Annotated[dict[str, Annotated[ColumnOverride, Field(strict=False)]], Field(default_factory=dict)]
    split: Annotated[SplitBy | None, Field(strict=False, description="Another rule for the new rows.")] = None
    evaluation_fraction: Annotated[float | None, Field(ge=0, le=0.5)] = None
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


class SnapshotChanges(AnswerBody):
    """Rows against the snapshot before, by what happened to them; `kept` of `unchanged` were in the file as well and
    passed over."""

    added: int
    updated: int
    unchanged: int
    removed: int
    kept: int = 0


class SnapshotBody(AnswerBody):
    """`drift` is the severity of its drift report: none, notice, warning, severe."""

    id: str
    version: int
    num_rows: int
    num_bytes: int
    as_of: Instant
    created_at: Instant
    mode: str = "replace"
    parent: int | None = Field(default=None, description="Version of the snapshot it was made from.")
    changes: SnapshotChanges | None = None
    drift: str | None = None
    is_current: bool = True


class SnapshotDetail(SnapshotBody):
    """One snapshot with its whole drift report and where its profile is."""

    drift_report: JsonMapping | None = None
    profile: str


class SnapshotList(AnswerBody):
    snapshots: list[SnapshotBody]
    next_cursor: str | None = None


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
    split: JsonMapping | None = Field(
        default=None,
        description="The rule of the split, shares and time range of each side, straddling groups.",
    )


class StaleEncoder(AnswerBody):
    encoder: int
    reason: str


class StaleHeads(AnswerBody):
    """Ready heads of a target that were fitted with other columns hidden."""

    target: str
    heads: list[int]
    reason: str


class SnapshotRestored(SnapshotBody):
    """The new version that holds the rows of `parent`."""

    stale: list[StaleEncoder]
    warnings: list[str]


class ColumnsPatched(AnswerBody):
    schema_version: int
    columns: list[ColumnBody]
    stale: list[StaleEncoder] = Field(
        description="Encoders trained with other kinds or roles; they keep serving."
    )
    stale_heads: list[StaleHeads] = Field(
        default=[], description="Heads that hide other columns than heads asked for from now on."
    )
    warnings: list[str]


class Proposal(AnswerBody):
    """What the profile suggests for a column; `fixed` says why it cannot be accepted for stored rows."""

    column: str
    kind: ColumnKind | None = None
    role: Role | None = None
    reason: str
    fixed: str | None = None


class ProposalList(AnswerBody):
    proposals: list[Proposal]


class ProposalsRequest(RequestBody):
    """`columns`: those whose proposals to accept; "*" for all that can be."""

    columns: Annotated[list[str], Field(min_length=1)] | Literal["*"]


class ProposalsAccepted(ColumnsPatched):
    accepted: list[Proposal]
    skipped: list[Proposal]


class TableDeleted(AnswerBody):
    """What went with the table; `artifacts` counts the stored objects that nothing else used."""

    table: str
    snapshots: int
    encoders: int
    targets: int
    heads: int
    cancelled_jobs: list[str]
    artifacts: int


class SnapshotDeleted(AnswerBody):
    """`artifacts` counts the stored objects that nothing else used."""

    version: int
    rows: int
    artifacts: int
