"""Head versions, fine-tunes and aliases."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.base import AnswerBody, Instant, JsonMapping, Name, RequestBody
from app.schemas.encoders import VersionStatus
from app.schemas.jobs import JobBody, JobErrorBody
from app.schemas.payloads import DEFAULT_FINETUNE_SECONDS
from models.heads import HeadConfig


class LabelSample(RequestBody):
    """How many training labels to use; the sample depends on `seed` only."""

    limit: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class HeadRequest(RequestBody):
    head: HeadConfig | None = None
    labels: LabelSample = LabelSample()
    max_seconds: Annotated[float, Field(gt=0, le=86_400)] = DEFAULT_FINETUNE_SECONDS
    alias: Name | None = Field(default=None, description="Moved on success, if the head is good enough.")


class FineTuneRequest(HeadRequest):
    targets: Annotated[list[Name], Field(min_length=1, max_length=1_000)] | Literal["*"]


class HeadSummary(AnswerBody):
    version: int
    status: VersionStatus


class HeadAccepted(AnswerBody):
    head: HeadSummary
    job: JobBody


class TargetHead(HeadSummary):
    target: str


class FineTuneAccepted(AnswerBody):
    heads: list[TargetHead]
    skipped: dict[str, str] = Field(description='With "*": targets that cannot be fitted now, and why.')
    job: JobBody


class HeadBody(HeadSummary):
    id: str
    target: str
    kind: str
    encoder: int
    view: list[str]
    seen_in_pretraining: bool
    refit_of: int | None = Field(description="Version of the champion that it repeats on another encoder.")
    label_set: int
    labels: JsonMapping
    metrics: JsonMapping | None
    baselines: JsonMapping | None
    verdict: str | None
    aliases: list[str]
    bytes: int | None
    job: str | None
    error: JobErrorBody | None
    created_at: Instant
    ready_at: Instant | None


class HeadDetail(HeadBody):
    config: JsonMapping
    report: dict[str, Any] | None


class HeadList(AnswerBody):
    heads: list[HeadBody]


class HeadDeleted(AnswerBody):
    target: str
    version: int
    artifacts: int = Field(default=0, description="Stored objects that nothing else used, removed.")


class AliasRequest(RequestBody):
    version: Annotated[int, Field(ge=1)]


class AliasBody(AnswerBody):
    name: str
    target: str
    version: int
    revision: int = Field(description="Grows with every move; the ETag.")
    updated_at: Instant


class AliasList(AnswerBody):
    aliases: list[AliasBody]


class AliasDeleted(AnswerBody):
    name: str
    target: str
    previous_version: int | None
    revision: int = Field(description="Of the removal; an alias that takes the name goes on from here.")


class AliasMove(AnswerBody):
    revision: int
    version: int | None = Field(description="Null for a removal.")
    previous_version: int | None
    action: str = Field(description="moved, rolled_back or removed")
    actor: str | None = Field(description="Id of the key, or of the job that passed the gate.")
    at: Instant


class AliasHistoryBody(AnswerBody):
    name: str
    target: str
    history: list[AliasMove]
